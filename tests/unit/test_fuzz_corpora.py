"""What fuzzing has found stays found: every input that is kept goes through its target again, without a fuzzer."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

FUZZ = Path(__file__).parents[2] / "fuzz"


def module(path: Path) -> ModuleType:
    spec = spec_from_file_location(f"fuzz_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


CATALOG = module(FUZZ / "catalog.py")


def corpus(target: str) -> list[Path]:
    return sorted((FUZZ / "corpora" / target).iterdir())


def test_every_target_is_in_the_catalog() -> None:
    assert {path.stem for path in (FUZZ / "targets").glob("*.py")} == set(CATALOG.TARGETS)
    assert {path.name for path in (FUZZ / "corpora").iterdir()} == set(CATALOG.TARGETS)
    assert {path.stem for path in (FUZZ / "dictionaries").iterdir()} <= set(CATALOG.TARGETS)


@pytest.mark.parametrize("target", CATALOG.TARGETS)
def test_every_module_that_is_watched_exists(target: str) -> None:
    package = FUZZ.parent / "src" / "laya_uptime"

    assert [name for name in CATALOG.TARGETS[target] if not (package / f"{name.replace('.', '/')}.py").exists()] == []


@pytest.mark.parametrize("target", CATALOG.TARGETS)
def test_a_corpus_stays_small(target: str) -> None:
    sizes = [path.stat().st_size for path in corpus(target)]

    assert 0 < len(sizes) <= CATALOG.MOST_FILES
    assert sum(sizes) <= CATALOG.MOST_BYTES


@pytest.mark.parametrize("target", CATALOG.TARGETS)
def test_every_input_that_is_kept_finds_its_promises_held(target: str) -> None:
    loaded = module(FUZZ / "targets" / f"{target}.py")

    for path in corpus(target):
        data = path.read_bytes()
        assert len(data) <= loaded.LONGEST, path.name
        try:
            loaded.run(data)
        except Exception as error:
            error.add_note(f"by {path}")
            raise
