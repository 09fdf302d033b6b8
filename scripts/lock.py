"""Write requirements/*.txt from pyproject.toml, or check without a network that they still belong to it.

`python scripts/lock.py` resolves with uv for every platform and for Python 3.11 and later, and writes each file with
hashes and without the address of any package index. Versions that still fit are kept; `--upgrade` looks for newer ones.
`python scripts/lock.py --check` compares the fingerprint in each file with the one of the tables it was made from; it
exits 1 and says what to run where they differ.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "requirements"
MARK = "# made from pyproject.toml "

# Core comes first: the others are resolved within its versions, so that what is tested is what is installed.
FILES = {
    "core.txt": ["pyproject.toml"],
    "build.txt": ["--group", "build", "--constraints", "requirements/core.txt"],
    "dev.txt": ["pyproject.toml", "--all-extras", "--group", "dev", "--constraints", "requirements/core.txt"],
    "fuzz.txt": ["--group", "fuzz", "--constraints", "requirements/core.txt"],
}


def fingerprint(name: str) -> str:
    """Return the fingerprint of the tables that this file is made from, as `sha256:` and 64 hex digits."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    tables: dict[str, object] = {
        "requires-python": document["project"]["requires-python"],
        "dependencies": document["project"]["dependencies"],
    }
    groups = document["dependency-groups"]
    if name in {"build.txt", "dev.txt"}:
        tables["build"] = groups["build"]
    if name == "dev.txt":
        tables["extras"] = document["project"].get("optional-dependencies", {})
        tables["groups"] = {group: wanted for group, wanted in groups.items() if group != "fuzz"}
    if name == "fuzz.txt":
        tables["fuzz"] = groups["fuzz"]
    text = json.dumps(tables, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def find_uv() -> str:
    """Return the path of uv: the one beside this Python, else the one on PATH. Exit 2 where there is none."""
    beside = Path(sysconfig.get_path("scripts")) / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        sys.stderr.write("lock: uv is not installed. Run: make lock\n")
        raise SystemExit(2)
    return found


def write(*, upgrade: bool) -> None:
    """Resolve and write every file. Raise CalledProcessError where uv finds no solution; it has said why."""
    uv = find_uv()
    for name, inputs in FILES.items():
        path = FOLDER / name
        command = [uv, "pip", "compile", *inputs, "--output-file", str(path.relative_to(ROOT)), "--quiet"]
        command += ["--universal", "--python-version", "3.11", "--generate-hashes"]
        command += ["--no-emit-index-url", "--no-emit-find-links", "--custom-compile-command", "make lock"]
        command += ["--upgrade"] * upgrade
        subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603  the command is written out above
        path.write_text(f"{MARK}{fingerprint(name)}\n{path.read_text(encoding='utf-8')}", encoding="utf-8")


def check() -> list[str]:
    """Return one sentence for each file that does not belong to pyproject.toml any more."""
    complaints = []
    for name in FILES:
        path = FOLDER / name
        first = path.read_text(encoding="utf-8").partition("\n")[0] if path.exists() else ""
        if first != f"{MARK}{fingerprint(name)}":
            complaints.append(f"requirements/{name} was not made from this pyproject.toml. Run: make lock")
    return complaints


def main() -> int:
    """Write, or with `--check` compare. Return 0, or 1 where a file does not belong."""
    parser = argparse.ArgumentParser(description="Write requirements/*.txt from pyproject.toml, with hashes.")
    parser.add_argument("--check", action="store_true", help="only compare; needs no network")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    options = parser.parse_args()
    if not options.check:
        write(upgrade=options.upgrade)
    complaints = check()
    sys.stderr.writelines(f"lock: {complaint}\n" for complaint in complaints)
    return 1 if complaints else 0


if __name__ == "__main__":
    raise SystemExit(main())
