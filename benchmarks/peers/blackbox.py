"""Asks blackbox_exporter to probe, many at once over kept connections. It is the exporter that is charged, not this.

Arguments: how many at once, the port of the exporter, then URLs to have probed.
"""

import http.client
import sys
import threading
import time
from urllib.parse import quote

from peers.protocol import serve

AT_ONCE, PORT, URLS = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]


class Asker(threading.Thread):
    """One connection to the exporter, one probe after the other."""

    def __init__(self, url: str, until: float) -> None:
        super().__init__()
        self._path = f"/probe?module=http_2xx&target={quote(url, safe='')}"
        self._until = until
        self.checks = 0
        self.failed = 0

    def run(self) -> None:
        """Ask until it is time."""
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
        try:
            while time.monotonic() < self._until:
                connection.request("GET", self._path)
                self.failed += b"\nprobe_success 1\n" not in connection.getresponse().read()
                self.checks += 1
        finally:
            connection.close()


def run(seconds: float) -> tuple[int, int]:
    """Have probed for this long."""
    until = time.monotonic() + seconds
    askers = [Asker(URLS[place % len(URLS)], until) for place in range(AT_ONCE)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    return sum(asker.checks for asker in askers), sum(asker.failed for asker in askers)


if __name__ == "__main__":
    serve(run)
