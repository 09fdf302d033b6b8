"""Every adapter is registered, documented, and held to the contract of its port."""

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from laya_uptime import plugins, ports
from laya_uptime.config.json_schema import json_schema

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "src" / "laya_uptime"
PORTS = {"checks": ports.Check, "notifiers": ports.Notifier, "stores": ports.Store}
CONTRACTS = {
    "checks": ("CheckContract", "LocalCheckContract", "UnprobedCheckContract"),
    "notifiers": ("NotifierContract",),
    "stores": ("StoreContract",),
}
REGISTERED = [(group, name) for group in plugins.GROUPS for name in plugins.names(group)]
SUPPORTING = {"memory"}  # a store that is chosen by nobody: the engine falls back to it


def bases_of_the_suites() -> Iterator[tuple[Path, ast.ClassDef, set[str]]]:
    """Yield each test class and the names of what it inherits, also across the contracts themselves."""
    inherited: dict[str, set[str]] = {}
    suites: list[tuple[Path, ast.ClassDef]] = []
    for file in (*(PACKAGE / "testing").glob("*.py"), *(REPOSITORY / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                if node.name.startswith("Test"):
                    suites.append((file, node))
                else:
                    inherited.setdefault(node.name, set()).update(bases)
    for file, node in suites:
        found = {base.id for base in node.bases if isinstance(base, ast.Name)}
        while more := {above for base in found for above in inherited.get(base, set())} - found:
            found |= more
        yield file, node, found


def contract_exists(contract: str) -> bool:
    """Say whether the public helpers for tests have this contract."""
    files = (PACKAGE / "testing").glob("*.py")
    return any(f"class {contract}" in file.read_text(encoding="utf-8") for file in files)


@pytest.mark.parametrize(("group", "name"), REGISTERED)
def test_what_is_registered_is_what_its_port_asks_for(group: str, name: str) -> None:
    kind = plugins.find(group, name)
    wanted = [
        member
        for member in vars(PORTS[group])
        if not member.startswith("_") and (callable(getattr(PORTS[group], member)) or member in {"address", "target"})
    ]

    assert wanted
    for member in wanted:
        ours, theirs = inspect.getattr_static(kind, member), inspect.getattr_static(PORTS[group], member)
        if isinstance(theirs, property):
            assert isinstance(ours, property), f"{kind.__name__}.{member} must be a property"
            continue
        assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(theirs), f"{kind.__name__}.{member}"
        assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)


@pytest.mark.parametrize("group", plugins.GROUPS)
def test_every_adapter_that_is_written_is_registered(group: str) -> None:
    written = {
        path.stem
        for path in (PACKAGE / "adapters" / group).iterdir()
        if path.stem not in SUPPORTING and not path.stem.startswith("_")
    }
    modules = {plugins.find(group, name).__module__ for name in plugins.names(group)}
    registered = {module.removeprefix(f"laya_uptime.adapters.{group}.").partition(".")[0] for module in modules}

    assert written == registered


@pytest.mark.parametrize(("group", "name"), REGISTERED)
def test_every_adapter_inherits_its_contract(group: str, name: str) -> None:
    contracts = CONTRACTS[group]
    if not any(map(contract_exists, contracts)):
        pytest.skip(f"not run: there is no {contracts[0]} yet")
    kind = plugins.find(group, name).__name__
    held = [
        (file.name, node.name)
        for file, node, bases in bases_of_the_suites()
        if bases.intersection(contracts) and kind in file.read_text(encoding="utf-8")
    ]

    assert held, f"no suite with {' or '.join(contracts)} makes a {kind}"


def test_the_store_in_memory_is_held_to_the_same_promises() -> None:
    assert [
        node.name
        for _, node, bases in bases_of_the_suites()
        if "StoreContract" in bases and "MemoryStore" in ast.unparse(node)
    ]


@pytest.mark.parametrize(("group", "name"), REGISTERED)
def test_every_adapter_is_documented(group: str, name: str) -> None:
    pages = {"checks": "configuration.md", "notifiers": "channels.md", "stores": None}[group]
    reference = REPOSITORY / "docs" / "reference"
    if pages is None:
        manual = "\n".join(page.read_text(encoding="utf-8") for page in (REPOSITORY / "docs").rglob("*.md"))
        assert name.lower() in manual.lower()
        return

    page = (reference / pages).read_text(encoding="utf-8")

    assert f"## `type: {name}`" in page or f"### Options of `{name}`" in page


@pytest.mark.parametrize(("group", "name"), [each for each in REGISTERED if each[0] != "stores"])
def test_every_option_is_in_the_schema_for_editors(group: str, name: str) -> None:
    schema = str(json_schema())
    fields = plugins.find(group, name).__struct_encode_fields__  # type: ignore[attr-defined]  # both kinds are structs

    assert [field for field in fields if f"'{field}'" not in schema] == []


@pytest.mark.parametrize(("group", "name"), REGISTERED)
def test_every_adapter_says_what_it_promises(group: str, name: str) -> None:
    kind = plugins.find(group, name)
    module = import_module(kind.__module__)

    assert kind.__doc__
    assert module.__doc__
    assert len(module.__doc__.splitlines()[0]) > 20
