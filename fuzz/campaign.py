"""Fuzz every target, two at a time, and write down what came of it.

`python fuzz/campaign.py --runs 5000000 --markdown docs/evidence/fuzz.md`. It ends with 1 where an input broke a promise,
and says where that input is. Seconds are those of the processor, so that a busy machine tells the same as an idle one.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from catalog import TARGETS
from laya_uptime.adapters.clock import SystemClock

HERE = Path(__file__).parent
ROOT = HERE.parent
FOUND = ROOT / ".fuzz"

_PAGE = """\
# Fuzzing: what strangers send cannot break a promise

Each target feeds bytes that nobody would send on purpose to a part that reads what strangers send, and holds the result
to what that part promises: not only that it does not crash. Which promises these are stands in
[how to fuzz](../how-to/fuzzing.md). Written by

```sh
make fuzz ARGS="--markdown docs/evidence/fuzz.md"
```

{date}, Python {python}, atheris {atheris}, {system}. Seconds are those of the processor.

| target | runs | seconds | runs per second | promises broken | peak memory | corpus kept |
|---|---:|---:|---:|---:|---:|---:|
{rows}

One run is one input. An input that takes longer than 10 seconds, or a process that grows beyond 1 GiB, counts as a
promise broken. The corpus kept is in `fuzz/corpora/`; `make test` replays it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one target."""

    target: str
    runs: int
    seconds: float  # of the processor
    peak: int  # MiB
    broken: tuple[Path, ...]  # inputs that broke a promise
    status: int  # of the process; 0: it came to its end


def fuzz(target: str, runs: int, options: list[str]) -> Outcome:
    """Run one target to its end, or to the first promise broken."""
    FOUND.mkdir(exist_ok=True)
    before = set(_broken(target))
    command = [sys.executable, str(HERE / "run.py"), target, f"-runs={runs}", *options]
    log = FOUND / f"{target}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file)  # noqa: S603  our own script
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    text = log.read_text(encoding="utf-8", errors="replace")
    return Outcome(
        target=target,
        runs=_figure(text, "number_of_executed_units"),
        seconds=used.ru_utime + used.ru_stime,
        peak=_figure(text, "peak_rss_mb"),
        broken=tuple(sorted(set(_broken(target)) - before)),
        status=process.returncode,
    )


def _broken(target: str) -> Iterator[Path]:
    for kind in ("crash", "timeout", "oom", "leak"):
        yield from FOUND.glob(f"{target}-{kind}-*")


def _figure(text: str, name: str) -> int:
    found = re.search(rf"^stat::{name}:\s+(\d+)", text, re.MULTILINE)
    return 0 if found is None else int(found[1])


def row(outcome: Outcome) -> str:
    """Return the outcome as a row of the table."""
    files = [file for file in (HERE / "corpora" / outcome.target).iterdir() if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    pace = outcome.runs / outcome.seconds if outcome.seconds else 0
    return (
        f"| `{outcome.target}` | {outcome.runs:,} | {outcome.seconds:.0f} | {pace:,.0f} | {len(outcome.broken)} |"
        f" {outcome.peak} MiB | {len(files)} files, {size / 1024:.0f} KiB |"
    )


def page(outcomes: list[Outcome]) -> str:
    """Return the evidence as a page."""
    return _PAGE.format(
        date=f"{SystemClock().now():%Y-%m-%d}",
        python=platform.python_version(),
        atheris=version("atheris"),
        system=f"{platform.system()} {platform.machine()}",
        rows="\n".join(map(row, outcomes)),
    )


def main() -> int:
    """Return 0, or 1 where a promise was broken or a target did not come to its end."""
    parser = argparse.ArgumentParser(description="Fuzz every target.", epilog="Other options go to libFuzzer.")
    parser.add_argument("--runs", type=int, default=5_000_000, help="inputs for each target (default: %(default)s)")
    parser.add_argument("--targets", default=",".join(TARGETS), help="only these, separated by commas")
    parser.add_argument("--jobs", type=int, default=2, help="targets at a time (default: %(default)s)")
    parser.add_argument("--markdown", type=Path, help="write the page of evidence")
    arguments, options = parser.parse_known_args()
    wanted = arguments.targets.split(",")
    if unknown := set(wanted) - TARGETS.keys():
        parser.error(f"no target is called {', '.join(sorted(unknown))}; known: {', '.join(TARGETS)}")
    if find_spec("atheris") is None:
        parser.error("atheris is not installed: it exists for Python 3.11 to 3.13 on Linux and macOS. Run: make fuzz")
    outcomes = []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for outcome in pool.map(lambda target: fuzz(target, arguments.runs, options), wanted):
            outcomes.append(outcome)
            print(row(outcome), flush=True)
            for file in outcome.broken:
                print(f"  a promise is broken by {file}; see {FOUND / outcome.target}.log", flush=True)
            if outcome.status and not outcome.broken:
                print(f"  it ended with {outcome.status}; see {FOUND / outcome.target}.log", flush=True)
    if arguments.markdown is not None:
        arguments.markdown.write_text(page(outcomes), encoding="utf-8")
    return int(any(outcome.status for outcome in outcomes))


if __name__ == "__main__":
    raise SystemExit(main())
