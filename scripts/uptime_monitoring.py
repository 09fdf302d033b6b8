#!/usr/bin/env python3
"""Watch the LAYA services: the same as `laya-uptime watch`, under the name it has always had.

It uses the installed package, or the one in ../src where none is installed. Nothing below is newer than the syntax of
Python 2.7, so that an old interpreter can still say in one line what is wrong.
"""

import sys

USAGE = 2

if sys.version_info < (3, 11):  # noqa: UP036  this file is also read by the Pythons it refuses
    sys.stderr.write(
        "uptime_monitoring.py needs Python 3.11 or newer; this is Python {}.{} ({})\n".format(  # noqa: UP032  likewise
            sys.version_info[0], sys.version_info[1], sys.executable
        )
    )
    sys.exit(USAGE)

from pathlib import Path  # noqa: E402  Python 2.7 has none

# At the end of the path, so that an installed package wins.
sys.path.append(str(Path(__file__).resolve().parent.parent / "src"))

arguments = ["watch"]
arguments.extend(sys.argv[1:])
try:
    from laya_uptime.cli import main

    code = main(arguments)
except ImportError as error:
    ours = str(error.name).replace("-", "_").partition(".")[0] == "laya_uptime"
    remedy = "pip install ." if ours else "pip install -r scripts/requirements.txt"
    sys.stderr.write("uptime_monitoring.py: {}. Run: {}\n".format(error, remedy))  # noqa: UP032  likewise
    sys.exit(USAGE)

sys.exit(code)
