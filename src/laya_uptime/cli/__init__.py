"""The command `laya-uptime`: reads the words, calls the verb, and turns every known trouble into one clear line.

Exit codes: 0 good (degraded is good), 1 something is down or a test failed, 2 usage, configuration, data directory in
use or unwritable, 70 internal fault, 130 second Ctrl-C.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version

import cyclopts

from laya_uptime.errors import ConfigError, DataDirectoryError, StoreTooNew

USAGE, INTERNAL, INTERRUPTED = 2, 70, 130
TRACE_VARIABLE = "LAYA_UPTIME_TRACEBACK"

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
app.command("laya_uptime.cli.configuration:validate", name="validate")
app.command("laya_uptime.cli.configuration:schema", name="schema")
app.command("laya_uptime.cli.doctor:doctor", name="doctor")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code. Never raises, never shows a traceback unless asked for one."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        done = app(words, exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        complain(f"{_one_line(str(error))} Try: laya-uptime --help")
        return USAGE
    except ConfigError as error:
        for problem in error.problems:
            complain(str(problem))
        return USAGE
    except (DataDirectoryError, StoreTooNew) as error:
        complain(str(error))
        return USAGE
    except ModuleNotFoundError as error:
        complain(f"the library {error.name} is not installed. Run: pip install -r scripts/requirements.txt")
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; that is their choice and no fault.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001  the last line of defence says what it can and keeps quiet about secrets
        complain(
            f"internal fault ({type(error).__name__}). This is a bug in laya-uptime. "
            f"Set {TRACE_VARIABLE}=1 and run it again to see where; the trace may show what you configured"
        )
        if os.environ.get(TRACE_VARIABLE):
            traceback.print_exc()
        return INTERNAL
    return done if isinstance(done, int) else 0


def complain(text: str) -> None:
    """Write one line to standard error, whatever its encoding."""
    encoding = sys.stderr.encoding or "utf-8"
    line = f"laya-uptime: {text}\n".encode(encoding, "backslashreplace").decode(encoding)
    sys.stderr.write(line)
    sys.stderr.flush()


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if line.endswith((".", "?", "!")) else f"{line}."
