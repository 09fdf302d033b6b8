"""Every recipe of the manual's page loads, and means what the page says."""

import re
from pathlib import Path
from typing import Any

from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.config.load import decode

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "checks" / "http.md"
ENVIRON = {"SHOP_TOKEN": "t0ken", "PROXY_PASSWORD": "s3cret"}


def recipes() -> dict[str, HttpCheck]:
    found: dict[str, Any] = {}
    for block in re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
        configuration = decode(block, source="manual", environ=ENVIRON)
        assert configuration.warnings == ()
        found |= {each.monitor.name: each.check for each in configuration.monitors}
    return found


def test_every_recipe_loads_and_is_a_check_of_this_type() -> None:
    found = recipes()

    assert set(found) == {
        "portal",
        "orders",
        "portal by IPv4",
        "portal by IPv6",
        "shop on web1",
        "shop on web2",
        "appliance",
        "ledger",
        "outside",
        "beyond the jump host",
        "cache",
    }
    assert {type(check) for check in found.values()} == {HttpCheck}


def test_the_recipes_set_what_the_page_speaks_of() -> None:
    found = recipes()

    orders, jump = found["orders"], found["beyond the jump host"]
    assert orders.bearer is not None
    assert (orders.method, orders.bearer.reveal()) == ("POST", "t0ken")
    assert (found["portal by IPv4"].ip, found["portal by IPv6"].ip) == (4, 6)
    assert (found["shop on web1"].connect_to, found["appliance"].server_name) == (
        "10.20.0.11:443",
        "appliance.riverside.example",
    )
    assert (found["ledger"].client_certificate, found["ledger"].client_key) == (
        "/etc/ssl/probe.pem",
        "/etc/ssl/probe.key",
    )
    assert jump.proxy is not None
    assert jump.proxy.reveal() == "socks5://probe:s3cret@jump.riverside.example:1080"
    assert "s3cret" not in repr(jump)
    assert (found["cache"].keep_alive, found["portal"].keep_alive) == (True, False)
