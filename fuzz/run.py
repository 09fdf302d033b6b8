"""Fuzz one target: `python fuzz/run.py http_answer -runs=10000 [more options of libFuzzer] [corpus folders]`.

Without a folder, what is found goes to `.fuzz/TARGET`, and the small corpus that is kept in `fuzz/corpora/TARGET` is
read beside it. An input that breaks a promise is written to `.fuzz/TARGET-crash-...`.
"""

import shlex
import sys
from importlib import import_module
from pathlib import Path

import atheris

import laya_uptime
from catalog import TARGETS

HERE = Path(__file__).parent
FOUND = HERE.parent / ".fuzz"
# Seconds for one input, memory of the process, and less often again what takes long.
OPTIONS = ("-timeout=10", "-rss_limit_mb=1024", "-entropic_scale_per_exec_time=1", "-print_final_stats=1")


def others(watched: tuple[str, ...]) -> list[str]:
    """Return the names of our modules that are not watched; atheris knows no other way to say it."""
    package = Path(laya_uptime.__path__[0])
    names = (".".join(file.relative_to(package).with_suffix("").parts) for file in package.rglob("*.py"))
    return [f"laya_uptime.{name.removesuffix('.__init__')}" for name in names if name not in watched]


def main() -> None:
    """Run until libFuzzer ends the process."""
    name, *options = sys.argv[1:]
    with atheris.instrument_imports(include=["laya_uptime"], exclude=others(TARGETS[name])):
        target = import_module(f"targets.{name}")
    # To merge, libFuzzer starts itself again, by the shell and with its own name for us.
    itself = shlex.join([sys.executable, sys.argv[0], name])
    arguments = [itself, f"-max_len={target.LONGEST}", *OPTIONS, f"-artifact_prefix={FOUND}/{name}-"]
    words = HERE / "dictionaries" / f"{name}.dict"
    if words.exists():
        arguments.append(f"-dict={words}")
    if all(option.startswith("-") for option in options):
        (FOUND / name).mkdir(parents=True, exist_ok=True)
        options += [str(FOUND / name), str(HERE / "corpora" / name)]
    atheris.Setup([*arguments, *options], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
