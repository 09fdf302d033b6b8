"""Read two thousand answers with our check, with curl and with requests, and explain every disagreement.

`python tests/differential/compare.py [--seed 1] [--count 2000] [--markdown FILE] [--check FILE]`

Exit 1 where a disagreement is explained by no class, a class explains nothing, or FILE is not what this run gives;
exit 3 where curl or requests is missing, because then nothing was compared.
"""

import argparse
import importlib.util
import logging
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from answers import COUNT, ODDITIES, SEED, Answer, generate
from server import Server

NOT_RUN = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--markdown", type=Path, help="write the table here")
    parser.add_argument("--check", type=Path, help="fail unless this file is the table")
    arguments = parser.parse_args()
    missing = [name for name, is_there in _needed().items() if not is_there]
    if missing:
        print(f"NOT RUN: {' and '.join(missing)} cannot be found, so nothing was compared")
        return NOT_RUN
    logging.disable(logging.CRITICAL)  # urllib3 warns of every defect, which is what this is about
    found = Comparison(generate(count=arguments.count, seed=arguments.seed))
    trouble = found.trouble()
    page = found.page()
    if arguments.markdown:
        arguments.markdown.write_text(page, encoding="utf-8")
    print(f"{found.summary()}. {_versions()}")
    if arguments.check:
        committed = arguments.check.read_text(encoding="utf-8")
        if _versions() not in committed:
            print(f"{arguments.check} was written with other versions: its counts are not compared")
        elif committed != page:
            trouble.append(f"{arguments.check} is not what this run gives; write it anew with --markdown")
    for line in trouble:
        print(line)
    return 1 if trouble else 0


def _needed() -> dict[str, bool]:
    return {"curl": shutil.which("curl") is not None, "requests": importlib.util.find_spec("requests") is not None}


class Comparison:
    """One run."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        from classes import compare  # it loads requests, which may not be there
        from readers import READERS

        self.answers = len(answers)
        self.redirects = sum(answer.is_redirect for answer in answers)
        self.disagreements = []
        with Server(answers) as server:
            for followed in (False, True):
                chosen = [answer for answer in answers if answer.is_redirect or not followed]
                urls = [server.url(answer.number) for answer in chosen]
                readings = {name: read(urls, follow=followed) for name, read in READERS.items()}
                for place, answer in enumerate(chosen):
                    trio = {name: of[place] for name, of in readings.items()}
                    disagreement = compare(answer.oddities, trio, followed=followed)
                    if disagreement is not None:
                        self.disagreements.append(disagreement)
        self.counts = Counter(name for each in self.disagreements for name in each.classes)

    def trouble(self) -> list[str]:
        """Return what is wrong, nothing where all is explained."""
        from classes import CLASSES, NAMES

        lines = []
        for each in self.disagreements:
            if each.unexplained:
                said = ", ".join(
                    f"{name}: {read.kind} {read.words or read.status}" for name, read in each.readings.items()
                )
                lines.append(f"unexplained, {sorted(each.oddities)}: {each.unexplained} ({said})")
        lines += [
            f"the class {name} explains nothing"
            for name in (*(each.id for each in CLASSES), NAMES)
            if not self.counts[name]
        ]
        lines += self._unseen()
        told = {oddity for each in CLASSES for oddity in each.oddities}
        lines += [f"no answer has the oddity {oddity!r}" for oddity in sorted(told - set(ODDITIES))]
        return lines

    def _unseen(self) -> list[str]:
        """Return the oddities that by themselves do not make the readers disagree, though a class says so."""
        from classes import CLASSES

        alone = {
            (name, *each.oddities) for each in self.disagreements if len(each.oddities) == 1 for name in each.classes
        }
        return [
            f"the class {each.id} does not hold for {oddity!r} alone"
            for each in CLASSES
            for oddity in sorted(each.oddities)
            if not each.varies and not each.beside and (each.id, oddity) not in alone
        ]

    def summary(self) -> str:
        """Return the figures in one line."""
        return (
            f"{self.answers} answers, {self.redirects} of them redirects and read a second time with them followed: "
            f"{len(self.disagreements)} disagreements, {sum(bool(each.unexplained) for each in self.disagreements)} unexplained"
        )

    def page(self) -> str:
        """Return the tables as Markdown."""
        from classes import CLASSES, NAMES

        def rows(*, departs: bool) -> list[str]:
            return [
                f"| `{each.id}` | {', '.join(sorted(each.oddities))} | {each.who} | {each.why} | {each.source} | {self.counts[each.id]} |"
                for each in CLASSES
                if each.departs is departs
            ]

        head = ["| class | the answer has | who | why | source | answers |", "|---|---|---|---|---|---:|"]
        return "\n".join(
            [
                _TOP.format(answers=self.answers, oddities=len(ODDITIES), summary=self.summary()),
                f"Versions: {_versions()}.",
                "",
                "## Ours is right",
                "",
                *head,
                *rows(departs=False),
                f"| `{NAMES}` | any fault | all three refuse | the names of the fault differ, the verdict does not | | {self.counts[NAMES]} |",
                "",
                "## Where ours departs from the standard",
                "",
                *head,
                *rows(departs=True),
                "",
            ]
        )


_TOP = """# Two thousand answers, three readers

The same {answers} answers of HTTP/1 are read by our check (`type: http`), by the command `curl` and by the library
`requests`, from a real server on loopback. Each is sound but for one or two of {oddities} oddities: status lines, headers,
lengths, chunks, encodings, endings and redirects as the standard has them, and as servers and attackers make them. A
reading is a whole answer (status and decoded body) or a fault. Every disagreement must fall into a class of the tables,
and every class must occur; else the test fails: `pytest tests/differential`. Written by

```sh
python tests/differential/compare.py --seed 1 --markdown docs/evidence/differential.md
```

Seed 1: {summary}. An answer with two oddities can count in two classes.
"""


def _versions() -> str:
    curl = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    return f"curl {curl}, requests {version('requests')}, urllib3 {version('urllib3')}"


if __name__ == "__main__":
    sys.exit(main())
