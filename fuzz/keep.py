"""Keep the best of what was found: `python fuzz/keep.py [TARGET ...]`.

libFuzzer merges the corpus in `fuzz/corpora/TARGET` and what is in `.fuzz/TARGET`, which drops whatever reaches nothing
new. Files with a name of their own stay; of the others the smallest, as many as fit. `make test` replays all of them, so
they must stay few and small.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from catalog import MOST_BYTES, MOST_FILES, TARGETS

HERE = Path(__file__).parent
FOUND = HERE.parent / ".fuzz"
_HASH = 40  # hex digits: how libFuzzer names what it finds


def keep(target: str) -> None:
    """Write the corpus of a target anew."""
    corpus = HERE / "corpora" / target
    named = [file for file in corpus.iterdir() if not _is_found(file)]
    room, places = MOST_BYTES - sum(file.stat().st_size for file in named), MOST_FILES - len(named)
    with tempfile.TemporaryDirectory() as folder:
        # The named files come first, so that nothing is kept beside them that reaches no more than they do.
        for file in named:
            shutil.copy(file, folder)
        sources = [folder, str(corpus), str(FOUND / target)]
        command = [sys.executable, str(HERE / "run.py"), target, "-merge=1", *sources]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)  # noqa: S603  our own script
        merged = sorted(filter(_is_found, Path(folder).iterdir()), key=lambda file: (file.stat().st_size, file.name))
        for file in filter(_is_found, list(corpus.iterdir())):
            file.unlink()
        for file in merged[:places]:
            room -= file.stat().st_size
            if room < 0:
                break
            shutil.copy(file, corpus)
    files = list(corpus.iterdir())
    print(f"{target}: {len(files)} files, {sum(file.stat().st_size for file in files)} bytes")


def _is_found(file: Path) -> bool:
    return len(file.name) == _HASH and not set(file.name) - set("0123456789abcdef")


if __name__ == "__main__":
    for name in sys.argv[1:] or TARGETS:
        keep(name)
