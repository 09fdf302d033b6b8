"""agree(): many regions, one answer."""

import pytest

from laya_uptime.domain.quorum import agree
from laya_uptime.testing import a_result


def vote(signs: str, quorum: int) -> str:
    return agree([a_result(sign).verdict for sign in signs], quorum=quorum).outcome


@pytest.mark.parametrize(
    ("signs", "quorum", "expected"),
    [
        pytest.param(".", 1, "up", id="one region, up"),
        pytest.param("x", 1, "down", id="one region, down"),
        pytest.param("?", 1, "unknown", id="one region, away"),
        pytest.param("..x", 1, "down", id="one is enough where one must agree"),
        pytest.param("..x", 2, "up", id="one of three is not enough where two must"),
        pytest.param(".xx", 2, "down", id="two of three are"),
        pytest.param("xx.", 3, "up", id="two are not where three must"),
        pytest.param("dx.", 2, "degraded", id="a warning is worth more than the passes"),
        pytest.param("?xx", 3, "down", id="a region that is away abstains: then all that are left must agree"),
        pytest.param("?x.", 3, "up", id="and here they do not"),
        pytest.param("??x", 2, "down", id="the last one that is left decides"),
        pytest.param("???", 2, "unknown", id="a round that nobody saw stays unknown"),
    ],
)
def test_regions_vote_and_those_away_abstain(signs: str, quorum: int, expected: str) -> None:
    assert vote(signs, quorum) == expected


def test_the_verdict_is_one_that_a_region_gave() -> None:
    verdicts = [a_result(sign).verdict for sign in ".xu"]

    assert agree(verdicts, quorum=2) is verdicts[1]


def test_a_round_without_any_verdict_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one verdict"):
        agree([])
