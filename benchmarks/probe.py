"""The prober beside its peers, and the whole engine under load: CPU per check, lateness, memory, and the gates for them.

Every engine gets its turn in every round, in a rotating order, on a core of its own while the targets have another; so
what the machine does meanwhile hits all of them. CPU is user plus system time of the process that probes, as the kernel
counts it. See docs/how-to/benchmarks.md for what each row means and for the traps.
"""

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from platformdirs import user_cache_path

import whole
from peers.install import Peers, install
from peers.processes import Child, Slot, available_cores, cpu_seconds, on_cores
from peers.targets import Authority, Target, authority, free_ports, http_target, https_target
from rows import Row, progress, report

HERE = Path(__file__).parent / "peers"
AT_ONCE = 64  # checks in flight, of every engine that can
Part = Literal["http", "https", "whole", "holes", "shards", "long"]
PARTS: tuple[Part, ...] = get_args(Part)
_WARM_UP = {"axios": 3.0}  # seconds; what V8 has not compiled yet costs twice as much, others need a moment
_BLACKBOX = """
modules:
  http_2xx:
    prober: http
    timeout: 10s
    http:
      valid_status_codes: [200]
      preferred_ip_protocol: ip4
      fail_if_body_not_matches_regexp: ['"status":"healthy"']
"""


@dataclass(frozen=True)
class Span:
    """How long to measure."""

    rounds: int
    seconds: float  # of each engine in each round
    whole: float  # seconds of the whole engine


QUICK = Span(rounds=3, seconds=0.4, whole=6)
FULL = Span(rounds=5, seconds=3, whole=60)


class Engine:
    """A process that checks in a closed loop for as long as it is told, and the process that is charged for it."""

    def __init__(self, child: Child, target: Target, *, charged: int | None = None) -> None:
        self._child = child
        self._target = target
        self._charged = charged or child.pid
        child.line()  # "ready"

    def turn(self, seconds: float) -> Slot:
        """Check for this long."""
        connections, resumed = self._target.counts()
        cpu = cpu_seconds(self._charged)
        told = self._child.ask(str(seconds), seconds + 60)
        cpu = cpu_seconds(self._charged) - cpu
        now_connections, now_resumed = self._target.counts()
        _honest(self._child.name, told, now_connections - connections, now_resumed - resumed)
        return Slot(told["checks"], cpu)


class Wrk:
    """wrk, a load generator: a process for each turn. It reads no body and times no phases."""

    def __init__(self, program: Path, target: Target, core: int) -> None:
        self._program = program
        self._target = target
        self._core = core

    def turn(self, seconds: float) -> Slot:
        """Ask for this long; wrk counts whole seconds."""
        length = max(round(seconds), 1)
        command: list[str | Path] = [
            self._program,
            "-t1",
            f"-c{AT_ONCE}",
            f"-d{length}s",
            "-H",
            "Connection: close",
            self._target.urls[0],
        ]
        with Child(command, core=self._core, stdin=subprocess.DEVNULL) as child:
            assert child.process.stdout is not None
            text = child.process.stdout.read()
            cpu = cpu_seconds(child.pid)  # it has closed its output, but nobody has waited for it yet
        done = re.search(r"(\d+) requests in", text)
        assert done
        failed = sum(map(int, re.findall(r"(?:responses:|connect|read|write|timeout) (\d+)", text)))
        checks = int(done.group(1))
        _honest("wrk", {"checks": checks, "failed": failed}, checks, 0)
        return Slot(checks, cpu)


def _honest(name: str, told: Mapping[str, int], connections: int, resumed: int) -> None:
    """Raise SystemExit where a check failed, did not open one connection of its own, or resumed a TLS session.

    More connections than checks are tries that nobody was told of. A few are ours: the target is asked for its count.
    """
    checks = told["checks"]
    if told["failed"] or not checks:
        raise SystemExit(f"{name}: {told['failed']} of {checks} checks failed")
    if not checks <= connections <= checks * 1.01 + AT_ONCE or resumed:
        raise SystemExit(f"{name}: {checks} checks, {connections} connections, {resumed} resumed")


ENGINES = ("c", "wrk", "laya", "laya_fast", "go", "blackbox", "axios", "requests")  # laya_fast: with the extra fast-tls
Turn = Callable[[float], Slot]


@dataclass
class Field:
    """The engines of one protocol, and what they did in each round."""

    name: str
    engines: dict[str, Turn] = field(default_factory=dict)
    slots: dict[str, list[Slot]] = field(default_factory=dict)

    def run(self, span: Span) -> None:
        """Give every engine its turn in every round, each time beginning with another."""
        names = list(self.engines)
        for name in names:
            if name != "wrk":  # a process for each turn has nothing to warm up: compile, load, connect the first time
                self.engines[name](_WARM_UP.get(name, 0.3))
        for round_ in range(span.rounds):
            shift = round_ % len(names)
            for name in names[shift:] + names[:shift]:
                self.slots.setdefault(name, []).append(self.engines[name](span.seconds))
            told = ", ".join(f"{name} {self.slots[name][-1].us:,.0f}" for name in names)
            progress(f"{self.name}, round {round_ + 1} of {span.rounds}, us per check: {told}")

    def costs(self, name: str) -> list[Row]:
        """Return median, least and most of an engine's microseconds."""
        us = [slot.us for slot in self.slots.get(name, ())]
        row = f"probe.{self.name}.{name}_us"
        return [
            Row(name=row, value=statistics.median(us) if us else None, unit="us"),
            Row(name=f"{row}_min", value=min(us, default=None), unit="us"),
            Row(name=f"{row}_max", value=max(us, default=None), unit="us"),
        ]

    def ratio(self, name: str, over: str, under: str, gate: str | None = None) -> Row:
        """Return the median over the rounds of one engine's cost over another's in the same round."""
        pairs = zip(self.slots.get(over, ()), self.slots.get(under, ()), strict=False)
        ratios = [one.us / other.us for one, other in pairs]
        value = statistics.median(ratios) if ratios else None
        return Row(name=f"probe.{self.name}.{name}", value=value, unit="x", gate=gate)

    def table(self) -> str:
        """Return the figures as a table for people."""
        head = f"{self.name:>12}  {'us per check':>22}  {'checks/s/core':>13}"
        lines = [head]
        best = {name: statistics.median(slot.us for slot in slots) for name, slots in self.slots.items()}
        for name, us in sorted(best.items(), key=lambda each: each[1]):
            all_us = [slot.us for slot in self.slots[name]]
            shown = f"{us:,.0f} [{min(all_us):,.0f}-{max(all_us):,.0f}]"
            lines.append(f"{name:>12}  {shown:>22}  {1e6 / us:>13,.0f}")
        return "\n".join(lines)


class Bench:
    """One run: the peers that are there, the cores, and the folder for what is made on the way."""

    def __init__(self, peers: Peers, folder: Path, cores: tuple[int, int]) -> None:
        self._peers = peers
        self._folder = folder
        self._target_core, self._prober_core = cores

    def http(self, span: Span) -> Field:
        """Measure plain HTTP."""
        nginx = self._peers.programs.get("nginx")
        if nginx is None:
            return Field("http")
        place = http_target(nginx, self._folder / "nginx", core=self._target_core)
        with ExitStack() as stack:
            field_ = self._field("http", stack, stack.enter_context(place), {}, "c")
            field_.run(span)
        return field_

    def https(self, span: Span) -> Field:
        """Measure HTTPS: a full TLS 1.3 handshake, chain and address verified, each time."""
        server = self._peers.programs.get("go-target")
        if server is None:
            return Field("https")
        made = authority(self._folder)
        with ExitStack() as stack:
            target = stack.enter_context(https_target(server, made, core=self._target_core))
            field_ = self._field("https", stack, target, _trust(made), "c-tls")
            field_.run(span)
        return field_

    def _field(self, name: str, stack: ExitStack, target: Target, env: Mapping[str, str], c: str) -> Field:
        programs = self._peers.programs
        arguments = [str(AT_ONCE), *target.urls]
        here = [sys.executable, "-m", "peers.laya"]
        env = {**env, "PYTHONPATH": _python_path()}
        commands: dict[str, list[str | Path]] = {"laya": [*here, *arguments]}
        if name == "https" and find_spec("utls") is not None:
            commands["laya_fast"] = commands["laya"]
        if c in programs:
            commands["c"] = [programs[c], *arguments]
        if "go" in programs:
            commands["go"] = [programs["go"], *arguments]
        if "axios" in programs:
            commands["axios"] = [programs["axios"], HERE / "axios.mjs", *arguments]
            env = {**env, "NODE_PATH": str(self._peers.folder / "node/node_modules")}
        if "requests" in programs:
            commands["requests"] = [programs["requests"], "-m", "peers.requests_get", *arguments]
        turns: dict[str, Turn] = {}
        for each, command in commands.items():
            tls = {"TLS": "fast"} if each == "laya_fast" else {}
            child = stack.enter_context(Child(command, core=self._prober_core, env={**env, **tls}))
            turns[each] = Engine(child, target).turn
        if "blackbox" in programs:
            turns["blackbox"] = self._blackbox(stack, target, env)
        if "wrk" in programs and name == "http":  # it verifies no certificate
            turns["wrk"] = Wrk(programs["wrk"], target, self._prober_core).turn
        return Field(name, {each: turns[each] for each in ENGINES if each in turns})

    def _blackbox(self, stack: ExitStack, target: Target, env: Mapping[str, str]) -> Turn:
        """Run blackbox_exporter on the prober's core, and who asks it on the other; the exporter is charged."""
        file = self._folder / "blackbox.yml"
        file.write_text(_BLACKBOX, encoding="utf-8")
        port = free_ports(1)[0]
        command: list[str | Path] = [
            self._peers.programs["blackbox"],
            f"--config.file={file}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ]
        exporter = stack.enter_context(Child(command, core=self._prober_core, env=env))
        asker = [sys.executable, "-m", "peers.blackbox", "16", str(port), *target.urls]
        driver = stack.enter_context(Child(asker, core=self._target_core, env=env))
        time.sleep(0.5)  # until it listens
        return Engine(driver, target, charged=exporter.pid).turn


def _python_path() -> str:
    """Return where Python finds the peers, before what it was told already."""
    return os.pathsep.join(filter(None, (str(HERE.parent), os.environ.get("PYTHONPATH"))))


def _trust(made: Authority) -> dict[str, str]:
    """Return how each engine is told whom to trust, in its own way."""
    return {
        "SSL_CERT_FILE": str(made.bundle),
        "REQUESTS_CA_BUNDLE": str(made.bundle),
        "NODE_EXTRA_CA_CERTS": str(made.alone),  # beside the 140 or so that Node brings with it
    }


def http_rows(measured: Field) -> list[Row]:
    """Return the rows and gates of plain HTTP."""
    return [
        *(row for name in ENGINES if name != "laya_fast" for row in measured.costs(name)),
        measured.ratio("share_of_c", "c", "laya", ">= 0.65"),
        measured.ratio("cpu_vs_go", "laya", "go", "<= 0.75"),
        measured.ratio("cpu_vs_blackbox", "laya", "blackbox", "<= 0.20"),
        measured.ratio("cpu_vs_axios", "laya", "axios"),
        measured.ratio("cpu_vs_requests", "laya", "requests"),
        measured.ratio("cpu_vs_wrk", "laya", "wrk"),
    ]


def https_rows(measured: Field) -> list[Row]:
    """Return the rows and gates of HTTPS."""
    return [
        *(row for name in ENGINES if name != "wrk" for row in measured.costs(name)),
        measured.ratio("cpu_vs_c", "laya", "c", "<= 1.15"),
        measured.ratio("cpu_vs_go", "laya", "go"),
        measured.ratio("cpu_vs_blackbox", "laya", "blackbox", "<= 0.8"),
        measured.ratio("cpu_vs_axios", "laya", "axios", "<= 0.3"),
        measured.ratio("cpu_vs_requests", "laya", "requests"),
        measured.ratio("fast_cpu_vs_go", "laya_fast", "go", "<= 0.9"),
    ]


STEADY = whole.Load(monitors=10_000, every=10, seconds=FULL.whole)
LIGHT = whole.Load(monitors=10, every=1, seconds=1)


def whole_rows(figures: whole.Figures | None, light: whole.Figures | None) -> list[Row]:
    """Return the rows and gates of the whole engine at 1,000 checks a second; `light` is the same with few monitors."""
    late = figures.late if figures else []
    grown = None
    if figures and light:
        grown = (figures.resident - light.resident) / (STEADY.monitors - LIGHT.monitors) / 1024
    return [
        Row(name="probe.whole.checks_per_s", value=figures.checks / figures.seconds if figures else None, unit="1/s"),
        Row(name="probe.whole.cpu_us_per_check", value=figures.cpu_us if figures else None, unit="us", gate="<= 160"),
        Row(name="probe.whole.lateness_p50_ms", value=whole.quantile(late, 0.5), unit="ms"),
        Row(name="probe.whole.lateness_p99_ms", value=whole.quantile(late, 0.99), unit="ms"),
        Row(name="probe.whole.lateness_p999_ms", value=whole.quantile(late, 0.999), unit="ms"),
        Row(
            name="probe.whole.total_p50_ms",
            value=whole.quantile(figures.totals, 0.5) if figures else None,
            unit="ms",
            gate="<= 0.5",
        ),
        Row(
            name="probe.whole.rss_mib",
            value=figures.resident / whole.MIB if figures else None,
            unit="MiB",
            gate="<= 60",
        ),
        Row(name="probe.whole.growth_kib_per_monitor", value=grown, unit="KiB"),
        Row(name="probe.whole.missed", value=figures.missed if figures else None, unit="slots"),
        Row(name="probe.whole.double", value=figures.double if figures else None, unit="slots"),
    ]


def holes_rows(figures: whole.Figures | None) -> list[Row]:
    """Return the rows and gates of the same with 2 % black holes, and of the storm that follows."""
    late = figures.late if figures else []
    storm = figures.storm_late if figures else []
    return [
        Row(name="probe.holes.cpu_us_per_check", value=figures.cpu_us if figures else None, unit="us"),
        Row(name="probe.holes.lateness_p50_ms", value=whole.quantile(late, 0.5), unit="ms"),
        Row(name="probe.holes.lateness_p99_ms", value=whole.quantile(late, 0.99), unit="ms", gate="<= 15"),
        Row(name="probe.holes.lateness_p999_ms", value=whole.quantile(late, 0.999), unit="ms", gate="<= 40"),
        Row(name="probe.storm.healthy_lateness_p99_ms", value=whole.quantile(storm, 0.99), unit="ms", gate="<= 30"),
    ]


def long_rows(figures: whole.Figures | None) -> list[Row]:
    """Return the rows and gates of 100,000 monitors for ten minutes."""
    late = figures.late if figures else []
    resident = figures.resident / 1e6 if figures else None
    cpu = figures.cpu / figures.seconds * 100 if figures else None
    return [
        Row(name="probe.long.checks_per_s", value=figures.checks / figures.seconds if figures else None, unit="1/s"),
        Row(name="probe.long.cpu_us_per_check", value=figures.cpu_us if figures else None, unit="us"),
        Row(name="probe.long.cpu_percent", value=cpu, unit="%"),
        Row(name="probe.long.lateness_p50_ms", value=whole.quantile(late, 0.5), unit="ms"),
        Row(name="probe.long.lateness_p99_ms", value=whole.quantile(late, 0.99), unit="ms", gate="<= 15"),
        Row(name="probe.long.lateness_p999_ms", value=whole.quantile(late, 0.999), unit="ms"),
        Row(name="probe.long.missed", value=figures.missed if figures else None, unit="slots", gate="<= 0"),
        Row(name="probe.long.double", value=figures.double if figures else None, unit="slots", gate="<= 0"),
        Row(name="probe.long.rss_mb", value=resident, unit="MB", gate="<= 400"),
        Row(name="probe.long.processes", value=figures.processes if figures else None, unit="processes"),
    ]


def shards_rows(one: whole.Figures | None, two: whole.Figures | None) -> list[Row]:
    """Return the rows and the gate of a second core.

    What two cores can do at most is told by the CPU that all processes together take for a check, or by that of the
    busiest one, which has no more than one core; and by what was really done of what was due.
    """
    gain = None
    if one and two:
        most = min(2 / two.cpu_us, 1 / two.busiest_us)
        kept_up = min(1.0, two.checks / two.seconds / 2 / (one.checks / one.seconds))
        gain = most * one.cpu_us * kept_up
    return [
        Row(name="probe.shards.one_us_per_check", value=one.cpu_us if one else None, unit="us"),
        Row(name="probe.shards.two_us_per_check", value=two.cpu_us if two else None, unit="us"),
        Row(name="probe.shards.busiest_us_per_check", value=two.busiest_us if two else None, unit="us"),
        Row(name="probe.shards.one_checks_per_s", value=one.checks / one.seconds if one else None, unit="1/s"),
        Row(name="probe.shards.two_checks_per_s", value=two.checks / two.seconds if two else None, unit="1/s"),
        Row(name="probe.shards.second_core", value=gain, unit="x", gate=">= 1.8"),
    ]


def measure(peers: Peers, folder: Path, parts: Sequence[Part], span: Span, cores: tuple[int, int]) -> list[Row]:
    """Return the rows of these parts; what is missing has no value."""
    bench = Bench(peers, folder, cores)
    target, prober = cores
    nginx = peers.programs.get("nginx")
    rows: list[Row] = []

    def run(name: str, load: whole.Load) -> whole.Figures | None:
        if nginx is None:
            return None
        return whole.run(load, nginx, folder / name, target=target, prober=prober)

    for part in parts:
        progress(f"{part} ...")
        match part:
            case "http":
                plain = bench.http(span)
                print(plain.table(), end="\n\n")
                rows += http_rows(plain)
            case "https":
                secure = bench.https(span)
                print(secure.table(), end="\n\n")
                rows += https_rows(secure)
            case "whole":
                steady = run("whole", replace(STEADY, seconds=span.whole))
                rows += whole_rows(steady, run("light", LIGHT))
            case "holes":
                load = replace(STEADY, seconds=span.whole, holes=0.02, storm=0.25, storm_seconds=span.whole / 2)
                rows += holes_rows(run("holes", load))
            case "shards":
                one = two = None
                if target != prober and whole.supports_shards():
                    load = replace(STEADY, seconds=span.whole / 2)
                    one = run("one", load)
                    two = run("two", replace(load, monitors=2 * load.monitors, shards=2))
                rows += shards_rows(one, two)
            case "long":
                rows += long_rows(run("long", whole.Load(monitors=100_000, every=60, seconds=600)))
    return rows


def main() -> int:
    """Read the command line, set up the peers, measure, print; return 1 when a gate fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="http, https and whole only, under a minute")
    parser.add_argument("--long", action="store_true", help="also 100,000 monitors for ten minutes")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part alone; may be repeated")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows as JSON")
    parser.add_argument("--peers", metavar="DIR", type=Path, help="where the peers are installed", default=_PEERS)
    parser.add_argument("--no-install", action="store_true", help="measure with what is there")
    options = parser.parse_args()
    quick = PARTS[:3] if options.quick else PARTS[:5]
    parts: Sequence[Part] = options.only or (*quick, *PARTS[5:] * options.long)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    progress(f"setting up the peers in {options.peers} ...")
    peers = install(options.peers, fetch=not options.no_install)
    for name, why in peers.missing.items():
        progress(f"missing: {name}: {why}")
    whole.descriptors()
    cores = available_cores()
    if cores[0] == cores[1]:
        progress("there is one core only: the targets take from the prober's time, but not from its account")
    try:
        with tempfile.TemporaryDirectory(prefix="laya-uptime-bench-") as folder, on_cores(cores[0]):
            rows = measure(peers, Path(folder), parts, QUICK if options.quick else FULL, cores)
    except KeyboardInterrupt:
        return 130  # everything that was started has been ended on the way here
    return report(rows, options.json)


_PEERS = user_cache_path("laya-uptime-benchmarks", appauthor=False)

if __name__ == "__main__":
    raise SystemExit(main())
