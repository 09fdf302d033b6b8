"""What every benchmark prints and writes: rows of name, value, unit, gate, holds."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure. `gate` is text such as "<= 60", None: no gate; `holds` is None where there is none to hold."""

    name: str
    value: float | None
    unit: str
    gate: str | None = None

    @property
    def holds(self) -> bool | None:
        if self.gate is None or self.value is None:
            return None
        sign, limit = self.gate.split()
        return self.value <= float(limit) if sign == "<=" else self.value >= float(limit)


def main(describe: str, measure: Callable[[bool], Sequence[Row]]) -> int:
    """Read --quick and --json FILE, measure, print the table; return 1 when a gate fails."""
    parser = argparse.ArgumentParser(description=describe)
    parser.add_argument("--quick", action="store_true", help="a shorter run, under a minute")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows as JSON")
    options = parser.parse_args()
    return report(measure(options.quick), options.json)


def report(rows: Sequence[Row], file: Path | None) -> int:
    """Print the table and write it to the file, if any; return 1 when a gate fails."""
    width = max(len(row.name) for row in rows)
    for row in rows:
        value = "missing" if row.value is None else f"{row.value:,.2f}"
        verdict = {True: "holds", False: "FAILS", None: ""}[row.holds]
        print(f"{row.name:{width}}  {value:>12} {row.unit:8} {row.gate or '':>10} {verdict}")
    if file:
        written = [asdict(row) | {"holds": row.holds} for row in rows]
        file.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    return 1 if any(row.holds is False for row in rows) else 0


def progress(text: str) -> None:
    """Say on standard error what is being measured."""
    print(text, file=sys.stderr, flush=True)
