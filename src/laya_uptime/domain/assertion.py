"""The assertion language (being written)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Assertion:
    """One compiled expression."""

    text: str
