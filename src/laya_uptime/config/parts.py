"""Make a check or a notifier from its options, whatever package it comes from."""

from functools import lru_cache
from typing import Any

import msgspec

from laya_uptime import plugins
from laya_uptime.config import explain
from laya_uptime.config.findings import Findings
from laya_uptime.config.tree import Scalar

# A check or a notifier as the ports describe it; a struct of its options as far as this package is concerned.
Part = Any


def part_class(group: str, named: Scalar, path: str, findings: Findings) -> type[msgspec.Struct] | None:
    """Return the options struct of this name. None, after reporting it, where there is none or it cannot be used."""
    noun, name, at = group.removesuffix("s"), str(named.value), named.at
    try:
        found = plugins.find(group, name)
    except LookupError:
        what, remedy = explain.unknown_name(noun, name, plugins.names(group), shown=named.shown)
        findings.problem(at, explain.about(path, what), remedy)
        return None
    except (ImportError, AttributeError, TypeError) as error:
        what = f"the {noun} {explain.quoted(name)} is installed but cannot be loaded ({type(error).__name__}: {error})"
        findings.problem(at, explain.about(path, what), "Reinstall the package that offers it, or remove it.")
        return None
    if not issubclass(found, msgspec.Struct):
        findings.problem(at, explain.about(path, f"the {noun} {explain.quoted(name)} has no options struct"))
        return None
    return found


@lru_cache(maxsize=256)
def fields_of(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    """Return a struct's fields by the keys that a file has for them. Kept, because msgspec works them out each time."""
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


@lru_cache(maxsize=256)
def required_keys(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the keys without which there is no such struct."""
    return tuple(key for key, field in fields_of(kind).items() if field.required)


def option_keys(kind: type[msgspec.Struct]) -> list[str]:
    """Return the keys of a part's options, as they are written in a file."""
    return list(fields_of(kind))


def build(kind: type[msgspec.Struct], options: dict[str, object]) -> Part:
    """Return the part made from options by their keys in a file. Raise ValueError where one cannot be used."""
    fields = fields_of(kind)
    return kind(**{fields[key].name: value for key, value in options.items()})
