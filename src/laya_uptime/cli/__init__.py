"""The command `laya-uptime`: reads the words, calls the verb, and turns every known trouble into one clear line.

Exit codes: 0 good (degraded is good), 1 something is down or a test failed, 2 usage, configuration, data directory in
use or unwritable, 3 no service is running, 70 internal fault, 130 second Ctrl-C.
"""

import os
import sys
from collections.abc import Sequence

USAGE, UNREACHABLE, INTERNAL, INTERRUPTED = 2, 3, 70, 130
TRACE_VARIABLE = "LAYA_UPTIME_TRACEBACK"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code. Never raises, never shows a traceback unless asked for one."""
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(words: Sequence[str]) -> int:
    # Loading takes a moment, and a Ctrl-C in it is to be met as one at any other time. Nothing is imported before.
    import traceback  # noqa: PLC0415

    from laya_uptime.errors import ConfigError, DataDirectoryError, StoreTooNew  # noqa: PLC0415

    try:
        from laya_uptime.cli.app import run  # noqa: PLC0415

        return run(words)
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


def complain(text: str) -> None:
    """Write one line to standard error, whatever its encoding."""
    encoding = sys.stderr.encoding or "utf-8"
    line = f"laya-uptime: {text}\n".encode(encoding, "backslashreplace").decode(encoding)
    sys.stderr.write(line)
    sys.stderr.flush()
