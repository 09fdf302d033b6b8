"""What every peer that is written in Python shares: it says "ready", and answers each line "SECONDS" with what it did."""

import json
import sys
from collections.abc import Callable


def serve(run: Callable[[float], tuple[int, int]]) -> None:
    """Carry out `run(seconds)` for each line on standard input and print the checks that were done and those that failed."""
    print("ready", flush=True)
    for line in sys.stdin:
        checks, failed = run(float(line))
        print(json.dumps({"checks": checks, "failed": failed}), flush=True)
