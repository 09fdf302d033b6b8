"""agree(): many regions, one answer. A region that is away or cannot tell abstains."""

from collections.abc import Sequence

from laya_uptime.domain.result import Outcome, Verdict

_WORST_FIRST = (Outcome.DOWN, Outcome.DEGRADED, Outcome.UP)


def agree(verdicts: Sequence[Verdict], *, quorum: int = 1) -> Verdict:
    """Return the verdict of a round: down where at least `quorum` of the regions that saw it say so.

    Fewer regions than the quorum may be left; then all of them must agree. With fewer failures than the quorum the
    monitor is up or degraded as the best-placed regions say. A round that nobody saw stays unknown.
    Raise ValueError for no verdict at all.
    """
    if not verdicts:
        raise ValueError("a round has at least one verdict")
    if len(verdicts) == 1:
        return verdicts[0]
    voting = [verdict for verdict in verdicts if verdict.outcome is not Outcome.UNKNOWN]
    if not voting:
        return verdicts[0]
    needed = min(quorum, len(voting))
    for outcome in _WORST_FIRST:
        those = [verdict for verdict in voting if verdict.outcome is outcome]
        enough = needed if outcome is Outcome.DOWN else 1
        if len(those) >= enough:
            return those[0]
    return voting[0]
