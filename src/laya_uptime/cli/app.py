"""The verbs of `laya-uptime`. Each is loaded when it is called, so that asking for the version loads nothing else."""

from collections.abc import Sequence
from importlib.metadata import version

import cyclopts

from laya_uptime.cli import USAGE, complain

app = cyclopts.App(
    name="laya-uptime",
    help="Watch services, decide what is true, and tell the right people exactly what happened.",
    version=lambda: version("laya-uptime"),
    result_action="return_value",
    help_format="plaintext",
)
app.command("laya_uptime.cli.watch:watch", name="watch")
app.command("laya_uptime.cli.serve:up", name="up")
app.command("laya_uptime.cli.serve:serve", name="serve")
app.command("laya_uptime.cli.check:check", name="check")
app.command("laya_uptime.cli.ping:ping", name="ping")
app.command("laya_uptime.cli.configuration:validate", name="validate")
app.command("laya_uptime.cli.configuration:schema", name="schema")
app.command("laya_uptime.cli.doctor:doctor", name="doctor")


def run(words: Sequence[str]) -> int:
    """Call the verb that the words name and return its exit code; words that name none are usage, told in one line."""
    try:
        done = app(list(words), exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        complain(f"{_one_line(str(error))} Try: laya-uptime --help")
        return USAGE
    return done if isinstance(done, int) else 0


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if line.endswith((".", "?", "!")) else f"{line}."
