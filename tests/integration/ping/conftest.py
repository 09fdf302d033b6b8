"""A network where pings can be sent, whatever the machine allows."""

from collections.abc import Iterator

import pytest

from laya_uptime.testing.laboratory import Laboratory


@pytest.fixture(scope="session")
def _laboratory() -> Iterator[Laboratory]:
    try:
        laboratory = Laboratory.start()
    except OSError as error:
        pytest.skip(f"PINGS WERE NOT TESTED: a network of its own needs root and /dev/net/tun ({error})")
    yield laboratory
    laboratory.stop()


@pytest.fixture
def laboratory(_laboratory: Laboratory) -> Iterator[Laboratory]:
    """A network where everybody may ping, and nobody on the wire answers."""
    yield _laboratory
    _laboratory.allow("0 2147483647")
    _laboratory.wire.play = lambda _: []
