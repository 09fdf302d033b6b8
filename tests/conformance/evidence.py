"""Write the rows of this folder as a page: `python tests/conformance/evidence.py [--check] docs/evidence/conformance.md`.

The rows are collected as pytest collects them, so the page holds each row that runs and no other. `--check` compares.
"""

import contextlib
import io
import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest

HERE = Path(__file__).parent


class Collector:
    """Keeps each row by the file it stands in."""

    def __init__(self) -> None:
        self.families: dict[str, list[tuple[str, str]]] = defaultdict(list)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take what was collected, in the order in which it stands in the files."""
        for item in session.items:
            assert isinstance(item, pytest.Function)
            if not item.path.name.startswith("test_rows_"):
                continue
            # The rows of sound answers say what body is read.
            is_sound = item.originalname.startswith("test_a_sound")
            expected = "up" if is_sound else str(item.callspec.params["expected"])
            self.families[str(item.module.__doc__).splitlines()[0]].append((item.callspec.id, expected))


def page() -> str:
    """Return the rows as Markdown."""
    rows = Collector()
    arguments = ["--collect-only", "-qq", "-p", "no:randomly", "-p", "no:cacheprovider", str(HERE)]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = pytest.main(arguments, plugins=[rows])
    if code != 0:
        sys.exit(f"the rows cannot be collected: {said.getvalue()}")
    count = sum(map(len, rows.families.values()))
    lines = [
        "# What each answer comes to",
        "",
        f"{count} rows on real sockets, each from the text of a configuration to the verdict: what the other side does, and the",
        "outcome, the reason and some words of the detail that must come of it. A row fails when any of them changes:",
        "`pytest tests/conformance`. Written by",
        "",
        "```sh",
        "python tests/conformance/evidence.py docs/evidence/conformance.md",
        "```",
    ]
    for family, found in rows.families.items():
        title, _, about = family.partition(": ")
        lines += ["", f"## {title} ({len(found)})", "", f"{about[:1].upper()}{about[1:]}", ""]
        lines += ["| the other side | verdict |", "|---|---|"]
        lines += [f"| {_cell(name)} | {_cell(expected)} |" for name, expected in found]
    lines += ["", *_ATTACK]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return re.sub(r"([|\\<>*_`])", r"\\\1", text)


_ATTACK = [
    "## Two hundred attackers at once",
    "",
    "`tests/conformance/test_attackers.py` runs the service in a process of its own against 200 attacked monitors (bodies,",
    "chunks, headers and interim answers without end, one byte a second, no length, wrong lengths, bombs, redirect loops,",
    "silence) and 20 healthy neighbours. Each attacked check ends within its deadline and 250 ms, beyond what the machine",
    "itself keeps a sleeping process waiting; the promise is less than 5 MiB for each, and all 200 together stay below",
    "200 MiB; every neighbour is up, in every round, and heard before the first attack runs into its deadline.",
]


if __name__ == "__main__":
    file = Path(sys.argv[-1])
    text = page()
    if "--check" not in sys.argv:
        file.write_text(text, encoding="utf-8")
    elif file.read_text(encoding="utf-8") != text:
        sys.exit(f"{file} is not what the rows say; write it anew: python {Path(__file__).name} {file}")
