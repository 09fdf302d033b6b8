"""`requests.get` in a loop, as small monitoring scripts do it: one check after the other, a new session for each.

Arguments: how many at once (ignored: it blocks), then URLs. REQUESTS_CA_BUNDLE names the file of authorities, which
requests reads anew for every check.
"""

import sys
import time
from itertools import cycle

import requests

from peers.protocol import serve

URLS = cycle(sys.argv[2:])


def check(url: str) -> bool:
    """Look once."""
    try:
        answer = requests.get(url, timeout=10)
        return answer.status_code == 200 and answer.json()["status"] == "healthy"
    except requests.RequestException as error:
        print(error, file=sys.stderr)
        return False


def run(seconds: float) -> tuple[int, int]:
    """Check for this long."""
    checks = failed = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        failed += not check(next(URLS))
        checks += 1
    return checks, failed


if __name__ == "__main__":
    serve(run)
