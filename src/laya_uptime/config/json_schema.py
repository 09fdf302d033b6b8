"""The file format as JSON Schema (draft 2020-12), for editors that complete and check while one types.

It says what can be said of a file without reading it whole: keys, types, units and limits, with the options of every check
and notifier that is installed. What it cannot say, loading says: that a group exists, that two names differ.
"""

from datetime import timedelta
from typing import Any

import msgspec

from laya_uptime import plugins
from laya_uptime.config.annotations import (
    Annotation,
    arms,
    bare,
    entry_of,
    item_of,
    may_be_nothing,
    metas,
    takes_text,
    words_of,
)
from laya_uptime.config.quantities import DURATION, SIZE, WHOLE_SECONDS, Bytes, Span, size_written, written
from laya_uptime.config.schema import ChannelKeys, MonitorKeys, Sections, Settings
from laya_uptime.config.yaml import read_plain
from laya_uptime.domain.assertion import Assertion
from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.payload import Payload
from laya_uptime.domain.secret import Secret

Json = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

# Any value may be asked for from outside the file, whatever type it has then.
_ASKED_FOR: Json = {"type": "string", "pattern": r"\$\{.+\}"}

_TYPES: dict[object, str] = {int: "integer", float: "number", bool: "boolean"}


def json_schema() -> Json:
    """Return the schema of a whole configuration file."""
    properties: Json = {}
    for field in msgspec.structs.fields(Sections):
        properties[field.encode_name] = section = _field(field)
        section["type"] = ["object", "null"]  # all its lines may be comments
    properties["defaults"] = {"anyOf": [{"$ref": "#/$defs/settings"}, {"type": "null"}]}
    properties["groups"] = _named(
        {"anyOf": [{"$ref": "#/$defs/settings"}, {"type": "null"}]}, "Settings that monitors share."
    )
    properties["monitors"] = _named({"anyOf": [_target(), *_monitors()]}, "What is watched, by name.")
    properties["notify"] = _named({"anyOf": _channels()}, "Who hears of it, by name.")
    return {
        "$schema": DIALECT,
        "title": "laya-uptime configuration",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": {"settings": _with_usual(_struct(Settings))},
    }


def _target() -> Json:
    schemes = "|".join(plugins.schemes())
    return {
        "type": "string",
        "pattern": rf"^({schemes})://|\$\{{",
        "description": "The target; its scheme picks the check.",
    }


def _monitors() -> list[Json]:
    """Return one schema for every check: what all monitors may say and the options of that check."""
    found: list[Json] = []
    common = _with_usual(_struct(MonitorKeys))
    for name, kind in _parts("checks"):
        own = _struct(kind)
        properties = {**own["properties"], **common["properties"], "type": {"const": name}}
        required = [key for key in own.get("required", []) if key not in common["properties"]]
        one = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        if name in plugins.KEYS.values():  # a key that must be there tells the check
            pass
        elif "url" not in own["properties"]:  # there is no scheme that could tell the check
            required.append("type")
        elif "url" not in required:
            one["anyOf"] = [{"required": ["url"]}, {"required": ["type"]}]
        found.append(one)
    return found


def _channels() -> list[Json]:
    """Return one schema for every notifier: what all channels may say and the options of that notifier."""
    found: list[Json] = []
    common = _struct(ChannelKeys)
    for name, kind in _parts("notifiers"):
        own = _struct(kind)
        properties = {"type": {"const": name}, **own["properties"], "title": common["properties"]["title"]}
        required = ["type", *own.get("required", [])]
        found.append({"type": "object", "properties": properties, "required": required, "additionalProperties": False})
    return found


def _parts(group: str) -> list[tuple[str, type[msgspec.Struct]]]:
    """Return every part that can be loaded; one that cannot is told when a file asks for it."""
    found: list[tuple[str, type[msgspec.Struct]]] = []
    for name in plugins.names(group):
        try:
            kind = plugins.find(group, name)
        except (ImportError, AttributeError, TypeError):
            continue
        if issubclass(kind, msgspec.Struct):
            found.append((name, kind))
    return found


def _named(values: Json, description: str) -> Json:
    return {"type": ["object", "null"], "additionalProperties": values, "description": description}


def _struct(kind: type[msgspec.Struct]) -> Json:
    fields = msgspec.structs.fields(kind)
    schema: Json = {
        "type": "object",
        "properties": {field.encode_name: _field(field) for field in fields},
        "additionalProperties": False,
    }
    if required := [field.encode_name for field in fields if field.required]:
        schema["required"] = required
    if kind.__doc__:
        schema["description"] = kind.__doc__.splitlines()[0]
    return schema


def _field(field: msgspec.structs.FieldInfo) -> Json:
    schema = _annotation(field.type)
    if isinstance(field.default, str | int | bool):
        marks = bare(arms(field.type)[0])[1]
        is_size = any(isinstance(mark, Bytes) for mark in marks)
        schema["default"] = size_written(field.default) if is_size and isinstance(field.default, int) else field.default
    elif isinstance(field.default, timedelta):
        schema["default"] = written(field.default)
    return schema


def _annotation(kind: Annotation) -> Json:
    choices = [_one(arm) for arm in arms(kind)]
    if may_be_nothing(kind):
        choices.append({"type": "null"})
    return choices[0] if len(choices) == 1 else {"anyOf": choices}


def _one(kind: Annotation) -> Json:
    """Return the schema of an annotation that is no union."""
    inner, marks = bare(kind)
    schema: Json
    if (words := words_of(kind)) is not None:
        numbers = [number for word in words if isinstance(number := read_plain(str(word)), float)]
        schema = {"anyOf": [{"enum": [*words, *numbers]}, _ASKED_FOR]}
    elif (item := item_of(kind)) is not None:
        schema = {"type": "array", "items": _annotation(item)}
        for meta in metas(marks):
            lengths = {"minItems": meta.min_length, "maxItems": meta.max_length}
            schema |= {word: limit for word, limit in lengths.items() if limit is not None}
        if takes_text(item):
            schema = {"anyOf": [_annotation(item), schema]}
    elif (entry := entry_of(kind)) is not None:
        schema = {"type": "object", "additionalProperties": _annotation(entry)}
    elif isinstance(inner, type) and issubclass(inner, msgspec.Struct):
        schema = _struct(inner)
    else:
        schema = _leaf(inner, marks)
    for meta in metas(marks):
        if meta.description:
            schema["description"] = meta.description
    return schema


def _leaf(inner: object, marks: tuple[object, ...]) -> Json:
    for mark in marks:
        if isinstance(mark, Bytes):
            return {"type": "string", "pattern": rf"^{SIZE}$|\$\{{", "examples": [size_written(mark.least)]}
        if isinstance(mark, Span):
            form = WHOLE_SECONDS if mark.whole else DURATION
            return {"type": "string", "pattern": rf"^{form}$|\$\{{"}
    if inner is timedelta:
        return {"type": "string", "pattern": rf"^{DURATION}$|\$\{{"}
    if inner in _TYPES:
        bounds = {"minimum": "ge", "maximum": "le", "exclusiveMinimum": "gt", "exclusiveMaximum": "lt"}
        number: Json = {"type": _TYPES[inner]}
        for meta in metas(marks):
            number |= {word: limit for word, name in bounds.items() if (limit := getattr(meta, name)) is not None}
        return {"anyOf": [number, _ASKED_FOR]}
    text: Json = {"type": "string"}
    if inner in {Secret, Payload}:
        text["writeOnly"] = True
    if inner is Assertion:
        text["examples"] = ["status == 200"]
    for meta in metas(marks):
        lengths = {"minLength": meta.min_length, "maxLength": meta.max_length, "pattern": meta.pattern}
        text |= {word: limit for word, limit in lengths.items() if limit is not None}
    return text


def _with_usual(schema: Json) -> Json:
    """Return the schema with what the program does where a file is silent."""
    usual = Monitor(id="", name="", target="")
    defaults = {
        "every": written(usual.every),
        "timeout": written(usual.timeout),
        "confirm": usual.patience.failures,
        "recover": usual.patience.passes,
        "remind": usual.remind_every,
        "health": usual.rules.health.value,
        "cert_warning": written(usual.rules.cert_warning),
    }
    for key, value in defaults.items():
        schema["properties"][key]["default"] = value
    return schema
