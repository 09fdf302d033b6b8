"""The kill run: SIGKILL at every named point of the check, delivery and signal paths, and no alert is lost.

`python -m laya_uptime.testing.kills [--trials 10] [--points a,b] [--seed N] [--jobs 2] [--markdown FILE] [--json FILE]`

Each trial is a real outage (see `trial`, and `heartbeat_trial` for the points of a signal), killed at one passage of one point, and checked (see `invariants`). The seed
decides everything that can be decided: the service, the kind and length of the outage, and the passage, which is
spread evenly over those around the change to down and the change back. One trial more is not killed at all. Exit 1
where a point was not reached or an invariant is broken; what such a trial left behind is kept, and its place printed.
"""

import argparse
import platform
import random
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import msgspec

from laya_uptime.failpoints import POINTS
from laya_uptime.testing import heartbeat_trial
from laya_uptime.testing.trial import CHANNELS, INTERVAL, UP_ROUNDS, Outcome, Plan, run, schema_of_a_new_database
from laya_uptime.testing.truth import OUTAGES, SERVICES, State, now

TRIALS = 10
SEED = 1
_LANDINGS = ("up", "down, not told", "down, told", "up again, not told", "up again, told")


def plans(*, seed: int, trials: int = TRIALS, points: Sequence[str] = POINTS) -> list[Plan]:
    """Return the trials of a run, the one without a kill first."""
    found = [_story(random.Random(f"{seed} control"), None)]
    for point in points:
        chance = random.Random(f"{seed} {point}")
        places = [(place + chance.random()) / trials for place in range(trials)]
        chance.shuffle(places)
        for place in places:
            plan = _story(chance, point)
            passages = _passages(plan)
            found.append(replace(plan, passage=passages[int(place * len(passages))]))
    return [replace(plan, number=number) for number, plan in enumerate(found)]


def carry_out(
    chosen: Iterable[Plan], directory: Path, *, jobs: int, done: Callable[[Outcome], None] = lambda _: None
) -> list[Outcome]:
    """Run the trials, so many at a time, and return their outcomes in order. Those that are good leave no files."""
    schema = schema_of_a_new_database(directory / "schema")

    def one(plan: Plan) -> Outcome:
        place = directory / f"{plan.number:03d}-{plan.point or 'control'}"
        outcome = (heartbeat_trial.run if _is_of_a_signal(plan) else run)(plan, place, schema=schema)
        if outcome.is_good:
            shutil.rmtree(place)
        done(outcome)
        return outcome

    with ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="trial") as pool:
        return list(pool.map(one, chosen))


def _is_of_a_signal(plan: Plan) -> bool:
    return (plan.point or "").startswith("heartbeat.")


def _story(chance: random.Random, point: str | None) -> Plan:
    plan = Plan(
        number=0,
        point=point,
        service=chance.choice(SERVICES).id,
        state=chance.choice(OUTAGES),
        rounds=chance.choice((4, 5)),  # the fifth failure reminds
        edge=chance.uniform(0.2, 0.8),
        delay=chance.choice((0.0, 0.3)),
    )
    if point == "delivery.retry_write":
        return replace(plan, refusals=chance.choice((1, 2)), refuse=chance.choice(("down", "recovered")))
    if point == "delivery.after_stamp":
        return replace(plan, delay=0.3)  # so that the two channels are never stamped in one commit
    return plan


def _passages(plan: Plan) -> Sequence[int]:
    """Return the passages that lie around the two changes and are sure to come, whatever the timing."""
    point = plan.point or ""
    if point == "delivery.retry_write":
        return range(1, 2 * plan.refusals + 1)
    if point.startswith("heartbeat."):
        # Every report passes once, the first of all in the transaction that begins to listen.
        return range(2, heartbeat_trial.HEARD_BEFORE + heartbeat_trial.HEARD_AFTER)
    if point.startswith("delivery."):
        return range(1, 5)  # two channels are told of two changes
    if point not in {"check.slot_claimed", "check.socket_open", "check.response_read"}:
        # The commits from the last quiet ones before "down" to the first ones after "recovered".
        return range(3, plan.rounds + 9)
    # One passage per service and round; a service that refuses opens no socket and gives no answer.
    first_down, first_up = UP_ROUNDS + 1, UP_ROUNDS + plan.rounds + 1
    chosen: list[int] = []
    passed = 0
    for number in range(1, first_up + 2):
        is_refused = plan.state is State.REFUSED and first_down <= number < first_up
        passes = len(SERVICES) - (is_refused and point != "check.slot_claimed")
        if number not in range(first_down + 2, first_up - 1):
            chosen.extend(range(passed + 1, passed + passes + 1))
        passed += passes
    return [passage for passage in chosen if passage > len(SERVICES) * (UP_ROUNDS - 1)]


# --- what is printed and written


def say(outcome: Outcome) -> str:
    """Return the outcome as one line, and one more for each thing that went wrong."""
    plan, findings = outcome.plan, outcome.findings
    words = [
        "ok " if outcome.is_good else "RED",
        f"{plan.number:3d}",
        plan.failpoint or "no kill",
        "(a job)" if _is_of_a_signal(plan) else f"({plan.service} {plan.state}, {plan.rounds} rounds)",
        f"landed: {outcome.landed or '-'}",
        f"duplicates {findings.duplicates}",
        f"lost {findings.lost}",
        f"{outcome.seconds:.1f} s",
    ]
    wrong = [*([outcome.error] if outcome.error else []), *map(str, findings.breaches)]
    return "\n      ".join([" ".join(words), *wrong])


def markdown(outcomes: Sequence[Outcome], command: str, *, seed: int) -> str:
    """Return the evidence page."""
    killed = [outcome for outcome in outcomes if outcome.plan.point is not None]
    control = [outcome for outcome in outcomes if outcome.plan.point is None]
    rows = [_row("no kill", control), *(_row(f"`{p}`", _of(killed, p)) for p in POINTS if _of(killed, p))]
    landed = Counter(outcome.landed for outcome in killed)
    red = [outcome for outcome in outcomes if not outcome.is_good]
    lines = [
        "# Kill run: no alert is lost",
        "",
        _WHAT.format(len(killed)),
        "",
        "```sh",
        command,
        "```",
        "",
        _WHERE.format(seed=seed, python=platform.python_version(), sqlite=sqlite3.sqlite_version, at=now()),
        "",
        "| point | trials | hit | duplicates | lost | invariants broken |",
        "|---|---:|---:|---:|---:|---|",
        *rows,
        _row("**all kills**", killed),
        "",
        _COLUMNS,
        "",
        "| where the kill landed | kills |",
        "|---|---:|",
        *(f"| {place} | {landed[place]} |" for place in _LANDINGS),
        "",
        "Told means that both channels had it when the kill came.",
    ]
    if red:
        lines += ["", "## Red trials", "", "```", *(say(outcome) for outcome in red), "```"]
    return "\n".join(lines) + "\n"


_WHAT = """\
{} times SIGKILL at a named point of the check and delivery path, while one of three services goes down and comes back;
the process is started again at once; or of the path of a signal, while a job falls silent and reports again. The processes, sockets and files are real. Written by"""
_WHERE = (
    f"Seed {{seed}}, {{at:%Y-%m-%d}}, Python {{python}}, SQLite {{sqlite}}, {platform.system()} {platform.machine()},\n"
    f"interval {INTERVAL.total_seconds():g} s, {len(SERVICES)} services, {' and '.join(CHANNELS)}."
    " How it works: [kill runs](../how-to/kill-runs.md)."
)
_COLUMNS = """\
Hit: the process died at the point. Lost: messages that never arrived. Duplicates: messages that arrived once more after
the restart, under the same Message-ID or Idempotency-Key, because the kill came after they had arrived and before that
was stamped; any other duplicate is a broken invariant (I2). The message may be that of the other channel, which is told
at the same time, so one can occur at any point; and a stamp may share a commit with a round."""


def _of(outcomes: Sequence[Outcome], point: str) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.plan.point == point]


def _row(name: str, outcomes: Sequence[Outcome]) -> str:
    broken = Counter(breach.invariant for outcome in outcomes for breach in outcome.findings.breaches)
    errors = sum(bool(outcome.error) for outcome in outcomes)
    said = [f"{invariant} x {times}" for invariant, times in sorted(broken.items())]
    said += [f"{errors} not carried through"] if errors else []
    duplicates = sum(outcome.findings.duplicates for outcome in outcomes)
    lost = sum(outcome.findings.lost for outcome in outcomes)
    hit = sum(outcome.hit for outcome in outcomes)
    return f"| {name} | {len(outcomes)} | {hit} | {duplicates} | {lost} | {', '.join(said) or 'none'} |"


def main(words: Sequence[str] | None = None) -> int:
    """Run from the command line. Return 0 when every trial is good, else 1."""
    parser = argparse.ArgumentParser(prog="python -m laya_uptime.testing.kills", description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=TRIALS, help="kills at each point (%(default)s)")
    parser.add_argument("--points", default=",".join(POINTS), help="comma-separated; all where none is named")
    parser.add_argument("--seed", type=int, default=SEED, help="the same seed plans the same run (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="trials at a time (%(default)s); they mostly wait")
    parser.add_argument("--markdown", type=Path, help="write the evidence page to this file")
    parser.add_argument("--json", type=Path, help="write every trial to this file")
    chosen = parser.parse_args(words)
    points = [point.strip() for point in chosen.points.split(",")]
    if unknown := sorted(set(points) - set(POINTS)):
        parser.error(f"no point is called {', '.join(unknown)}. Known: {', '.join(POINTS)}")
    if min(chosen.trials, chosen.jobs) < 1:
        parser.error("--trials and --jobs must be 1 or more")
    planned = plans(seed=chosen.seed, trials=chosen.trials, points=points)
    directory = Path(tempfile.mkdtemp(prefix="laya-uptime-kills-"))
    outcomes = carry_out(planned, directory, jobs=chosen.jobs, done=lambda outcome: print(say(outcome), flush=True))
    red = sum(not outcome.is_good for outcome in outcomes)
    if chosen.markdown:
        flags = f" --trials {chosen.trials} --seed {chosen.seed} --jobs {chosen.jobs}"
        flags += "" if points == list(POINTS) else f" --points {chosen.points}"
        command = f"python -m laya_uptime.testing.kills{flags} --markdown {chosen.markdown}"
        chosen.markdown.parent.mkdir(parents=True, exist_ok=True)
        chosen.markdown.write_text(markdown(outcomes, command, seed=chosen.seed), encoding="utf-8")
    if chosen.json:
        chosen.json.write_bytes(msgspec.json.format(msgspec.json.encode(outcomes), indent=2))
    print(f"{len(outcomes)} trials, {red} red" + (f"; what they left is in {directory}" if red else ""))
    if not red:
        shutil.rmtree(directory)
    return 1 if red else 0


if __name__ == "__main__":
    sys.exit(main())
