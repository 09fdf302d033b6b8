"""Everything that is wrong with a configuration, gathered so that a person can mend it in one go."""

from laya_uptime.config.tree import Position
from laya_uptime.errors import ConfigError, Problem


class Findings:
    """Problems stop a configuration from being used; warnings do not. The same thing is said only once."""

    def __init__(self) -> None:
        """Begin with nothing found."""
        self._problems: dict[Problem, Position] = {}
        self._warnings: dict[Problem, Position] = {}

    def problem(self, at: Position, what: str, remedy: str = "") -> None:
        """Remember a mistake. Neither text may hold a secret."""
        self._problems.setdefault(Problem(str(at), what, remedy), at)

    def warning(self, at: Position, what: str, remedy: str = "") -> None:
        """Remember something that works and should still be looked at."""
        self._warnings.setdefault(Problem(str(at), what, remedy), at)

    @property
    def count(self) -> int:
        """Return how many problems there are so far."""
        return len(self._problems)

    def warnings(self) -> tuple[Problem, ...]:
        """Return the warnings in the order in which a reader meets them."""
        return _in_reading_order(self._warnings)

    def raise_problems(self) -> None:
        """Raise one ConfigError with every problem, in reading order. Do nothing where there is none."""
        if self._problems:
            raise self.error()

    def error(self) -> ConfigError:
        """Return every problem in reading order, ready to be raised."""
        return ConfigError(_in_reading_order(self._problems))


def _in_reading_order(found: dict[Problem, Position]) -> tuple[Problem, ...]:
    """Return what is in files first, line by line, then variables and flags as they were met."""

    def key(problem: Problem) -> tuple[bool, int, int]:
        at = found[problem]
        return (at.line is None, at.line or 0, at.column or 0)

    return tuple(sorted(found, key=key))
