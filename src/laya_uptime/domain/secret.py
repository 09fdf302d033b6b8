"""Secret: a text that shows itself only when asked, so that no log, repr or traceback can."""

from dataclasses import dataclass, field

DOTS = "••••••"


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A password, token or URL that is one. `str()` and `repr()` print dots; `reveal()` is the only way in."""

    _text: str = field(repr=False)

    def reveal(self) -> str:
        """Return the text itself. Call it where the wire is written, nowhere else."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __str__(self) -> str:
        return DOTS

    def __repr__(self) -> str:
        return f"Secret({DOTS})"

    def __format__(self, spec: str) -> str:
        return format(DOTS, spec)
