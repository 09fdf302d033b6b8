"""Count the rounds of monitors that run in step: a round is over when each of them has had its slot."""

from collections import Counter
from datetime import datetime

_MOST_OPEN = 1_000  # rounds that never end (a monitor that hangs in its first check) are forgotten in the end


class Rounds:
    """How many rounds are over."""

    def __init__(self, monitors: int) -> None:
        self.over = 0
        self._monitors = monitors
        self._ended: Counter[datetime] = Counter()

    def slot_over(self, due: datetime) -> bool:
        """Note the end of one slot; say whether that ended its round."""
        self._ended[due] += 1
        if self._ended[due] < self._monitors:
            if len(self._ended) > _MOST_OPEN:
                del self._ended[next(iter(self._ended))]  # rounds begin in order
            return False
        del self._ended[due]
        self.over += 1
        return True
