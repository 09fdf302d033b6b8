"""Services on loopback for whoever looks at them."""

from collections.abc import Iterator

import pytest

from laya_uptime.testing.services import Services


@pytest.fixture
def services() -> Iterator[Services]:
    """Three services, healthy until told otherwise."""
    with Services() as services:
        yield services
