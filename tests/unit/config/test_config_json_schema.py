"""The schema for editors agrees with what loading accepts and refuses."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from laya_uptime.config import yaml
from laya_uptime.config.findings import Findings
from laya_uptime.config.json_schema import DIALECT, json_schema
from laya_uptime.config.tree import Mapping, Node, Scalar, Sequence
from laya_uptime.errors import Problem

KEYWORDS = {
    "$schema", "$defs", "$ref", "title", "description", "default", "examples", "writeOnly",
    "type", "properties", "required", "additionalProperties", "items", "anyOf", "enum", "const", "pattern",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems",
}  # fmt: skip
TYPES: dict[str, type | tuple[type, ...]] = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None)}  # fmt: skip


def accepts(schema: dict[str, Any], value: object, root: dict[str, Any]) -> bool:
    """The keywords of JSON Schema that ours uses (draft 2020-12, core and validation)."""
    if (ref := schema.get("$ref")) is not None:
        return accepts(root["$defs"][ref.removeprefix("#/$defs/")], value, root)
    if "type" in schema:
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(isinstance(value, TYPES[name]) and (name == "boolean" or type(value) is not bool) for name in names):
            return False
    if "anyOf" in schema and not any(accepts(one, value, root) for one in schema["anyOf"]):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "const" in schema and value != schema["const"]:
        return False
    if isinstance(value, str):
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
            return False
        if "pattern" in schema and not re.search(schema["pattern"], value):
            return False
    if isinstance(value, int | float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return False
    if isinstance(value, list) and not all(accepts(schema.get("items", {}), item, root) for item in value):
        return False
    if isinstance(value, dict):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        if any(key not in value for key in schema.get("required", [])):
            return False
        for key, inner in value.items():
            below = properties.get(key, others)
            if below is False or (isinstance(below, dict) and not accepts(below, inner, root)):
                return False
    return True


def plain(node: Node) -> object:
    match node:
        case Mapping():
            return {key: plain(entry.value) for key, entry in node.entries.items()}
        case Sequence():
            return [plain(item) for item in node.items]
        case Scalar():
            return node.value


def document(text: str) -> object:
    node = yaml.parse(text, source="f", findings=Findings())
    assert node is not None
    return plain(node)


def test_it_is_plain_json_in_the_dialect_it_names() -> None:
    schema = json_schema()

    assert json.loads(json.dumps(schema)) == schema
    assert schema["$schema"] == DIALECT == "https://json-schema.org/draft/2020-12/schema"


def test_it_uses_no_keyword_that_this_test_does_not_know() -> None:
    def look(schema: object, *, names: bool = False) -> None:
        if isinstance(schema, dict):
            assert names or set(schema) <= KEYWORDS, set(schema) - KEYWORDS
            for key, inner in schema.items():
                if key not in {"default", "enum", "const", "examples"} or names:
                    look(inner, names=not names and key in {"properties", "$defs"})
        elif isinstance(schema, list):
            for inner in schema:
                look(inner)

    look(json_schema())


@pytest.mark.parametrize(
    "text",
    [
        "monitors: {a: 'http://a.example/'}",
        "monitors: {a: '${URL}'}",
        "monitors: {a: {url: 'http://a.example/', every: 30s, expect: status == 200, prefer: [latency < 1s]}}",
        "monitors: {a: {url: 'http://a.example/', type: http, name: A, group: G, health: off, remind: 0}}\ngroups: {G: {every: 5m}, H: }",
        "monitors: {a: {url: 'http://a.example/', method: POST, headers: {X: '1'}, body: x, redirects: 0, ca_file: /x}}",
        "monitors: {a: 'tcp://a.example:22', b: 'tls://a.example'}",
        "monitors: {a: {type: tcp, host: a.example, port: 22, tls: true, ca_file: /x, server_name: b.example}}",
        "monitors: {a: {url: 'tcp://a.example:25', dialogue: [{expect: ^220}, {send: 'X\\r\\n'}, {starttls: true}]}}",
        "monitors: {a: {url: 'tls://a.example', starttls: imap, min_version: 1.3}}",
        "monitors: {a: {url: 'tls://a.example', starttls: smtp, min_version: '1.2'}}",
        "notify: {m: {type: email, to: [a@b.example], from: a@b.example, server: s, port: 25, tls: none}}",
        "notify: {m: {type: email, to: a@b.example, user: u, password: '${P}', port: '${PORT}'}}",
        "notify: {w: {type: webhook, url: 'https://h.example/', secret: '${P}', title: W}}",
        "notify: {s: {type: slack, webhook: '${S}'}, d: {type: discord, webhook: '${S}'}}",
        "notify: {p: {type: pagerduty, routing_key: '${P}'}}",
        "site: {name: S, timezone: Europe/Berlin}",
        "defaults: {every: 2m, timeout: 1.5s, confirm: 1, recover: 100, cert_warning: 0s, health: required}",
        "egress: {allow: 10.0.0.0/8}\nlog: {file: x, format: json, max_size: 10MB, keep: 5, checks: every}\nstore: {retention: {results: 30d}}",
        "site:\nlog:\nnotify:\nmonitors:\n",
    ],
)
def test_what_loads_is_accepted(problems: Callable[..., tuple[Problem, ...]], text: str) -> None:
    environ = {"URL": "http://u/", "P": "abc", "PORT": "25", "S": "https://h.example/"}

    assert problems(text, **environ) == ()
    assert accepts(json_schema(), document(text), json_schema())


@pytest.mark.parametrize(
    "text",
    [
        "monitor: {}",
        "monitors: {a: a.example}",
        "monitors: {a: {}}",
        "monitors: {a: {url: 'http://a.example/', evry: 5s}}",
        "monitors: {a: {url: 'http://a.example/', every: 5}}",
        "monitors: {a: {url: 'http://a.example/', every: 500ms}}",
        "monitors: {a: {url: 'http://a.example/', type: htp}}",
        "monitors: {a: {url: 'http://a.example/', method: gett}}",
        "monitors: {a: {url: 'http://a.example/', redirects: 11}}",
        "monitors: {a: {url: 'http://a.example/', headers: {X: 1}}}",
        'monitors: {a: {url: "http://a.example/", name: "a\\nb"}}',
        'monitors: {a: {url: "http://a.example/", name: "ab\\n"}}',
        "monitors: {a: {url: 'tcp://a.example:25', dialogue: [{sned: x}]}}",
        "monitors: {a: {type: tcp, host: a.example, port: 0}}",
        "monitors: {a: {host: a.example, port: 22}}",
        "monitors: {a: {url: 'tls://a.example', min_version: 1.1}}",
        "monitors: {a: {url: 'tls://a.example', starttls: ldap}}",
        "notify: {m: {type: email}}",
        "notify: {m: {to: a@b.example}}",
        "notify: {m: {type: emial, to: a@b.example}}",
        "notify: {m: {type: email, to: a@b.example, webhook: x}}",
        "notify: {m: {type: email, to: a@b.example, tls: ssl}}",
        "defaults: {confirm: 0}",
        "defaults: {confirm: true}",
        "defaults: {health: of}",
        "groups: {g: {name: x}}",
        "log: {max_size: 10}",
        "log: {keep: 0}",
        "log: {checks: some}",
        "store: {results: 90d}",
        "site: {name: ''}",
        "site: []",
    ],
)
def test_what_does_not_load_is_refused(problems: Callable[..., tuple[Problem, ...]], text: str) -> None:
    assert problems(text) != ()
    assert not accepts(json_schema(), document(text), json_schema())


def test_it_tells_what_happens_where_a_file_is_silent() -> None:
    settings = json_schema()["$defs"]["settings"]["properties"]

    assert {key: inner.get("default") for key, inner in settings.items()} == {
        "every": "60s",
        "timeout": "10s",
        "confirm": 2,
        "recover": 2,
        "remind": 5,
        "expect": None,
        "prefer": None,
        "health": "auto",
        "cert_warning": "14d",
    }
