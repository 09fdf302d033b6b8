"""Heartbeats: what each job said last, and from when its next run is reckoned."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table. There is nothing to fill it with: before, no job was listened to."""
    op.create_table(
        "heartbeat",
        sa.Column("monitor_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=True),
        sa.Column("began", sa.BigInteger(), nullable=True),
        sa.Column("heard_at", sa.BigInteger(), nullable=True),
        sa.Column("heard", sa.Text(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("monitor_id", name=op.f("pk_heartbeat")),
    )


def downgrade() -> None:
    """Refuse: a newer database is kept for the version that wrote it."""
    raise NotImplementedError("restore the backup that was made before the upgrade")
