"""What may be connected to: two profiles, judged on the address itself."""

import pytest

from laya_uptime.domain.egress import EgressPolicy

CLOSED = [
    pytest.param("169.254.169.254", id="metadata"),
    pytest.param("169.254.0.1", id="link-local"),
    pytest.param("fe80::1", id="link-local six"),
    pytest.param("fe80::1%eth0", id="link-local with a zone"),
    pytest.param("fd00:ec2::254", id="metadata of AWS, six"),
    pytest.param("100.100.100.200", id="metadata of Alibaba"),
    pytest.param("168.63.129.16", id="wire server of Azure"),
    pytest.param("0.0.0.0", id="unspecified"),
    pytest.param("0.1.2.3", id="this network"),
    pytest.param("::", id="unspecified six"),
    pytest.param("224.0.0.1", id="multicast"),
    pytest.param("ff02::1", id="multicast six"),
    pytest.param("255.255.255.255", id="broadcast"),
    pytest.param("::ffff:169.254.169.254", id="mapped"),
    pytest.param("::ffff:a9fe:a9fe", id="mapped in hexadecimal"),
    pytest.param("::169.254.169.254", id="compatible"),
    pytest.param("::ffff:0:169.254.169.254", id="translated"),
    pytest.param("64:ff9b::a9fe:a9fe", id="NAT64"),
    pytest.param("64:ff9b:1::1", id="local NAT64"),
    pytest.param("2002:a9fe:a9fe::1", id="6to4"),
    pytest.param("2001:0:a9fe:a9fe::1", id="Teredo server"),
    pytest.param("2001::5601:5601", id="Teredo client, inverted"),
    pytest.param("2001:db8::5efe:a9fe:a9fe", id="ISATAP"),
    pytest.param("2001:db8::200:5efe:100.100.100.200", id="ISATAP, universal"),
]


@pytest.mark.parametrize("address", CLOSED)
@pytest.mark.parametrize("notification", [False, True])
def test_s03_what_hands_out_credentials_is_closed_to_everybody(address: str, *, notification: bool) -> None:
    refusal = EgressPolicy().refusal(address, notification=notification, explicit=True)

    assert refusal is not None
    assert "egress policy" in refusal


@pytest.mark.parametrize(
    "address",
    [
        "93.184.216.34",
        "2606:2800:220:1::1",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "::1",
        "fd12:3456::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "192.0.2.1",
        "240.0.0.1",
    ],
)
def test_checks_reach_public_private_and_loopback_addresses(address: str) -> None:
    assert EgressPolicy().refusal(address) is None


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "192.168.1.1",
        "172.31.255.255",
        "100.64.0.1",
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "fd12:3456::1",
        "::ffff:127.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::1",
        "fec0::1",
        "192.0.2.1",
        "198.18.0.1",
        "240.0.0.1",
        "3fff::1",
    ],
)
def test_s04_notifications_go_inside_only_where_somebody_wrote_that_host(address: str) -> None:
    policy = EgressPolicy()

    assert "not a public address" in (policy.refusal(address, notification=True) or "")
    assert policy.refusal(address, notification=True, explicit=True) is None


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822", "2002:5db8:d822::1"])
def test_notifications_go_to_public_addresses(address: str) -> None:
    assert EgressPolicy().refusal(address, notification=True) is None


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("169.254.169.254", "169.254.169.254"),
        ("169.254.169.254", "::ffff:169.254.169.254"),
        ("169.254.169.254", "64:ff9b::a9fe:a9fe"),
        ("169.254.0.0/16", "169.254.170.2"),
        ("fe80::/10", "fe80::1"),
        ("fe80::/10", "fe80::1%eth0"),
        ("64:ff9b::/96", "64:ff9b::a9fe:a9fe"),
        ("10.0.0.7/8", "10.200.0.1"),
    ],
)
def test_the_configuration_file_opens_what_it_names(entry: str, address: str) -> None:
    policy = EgressPolicy.parse([entry])

    assert policy.refusal(address, notification=True) is None


def test_opening_one_network_opens_no_other() -> None:
    policy = EgressPolicy.parse(["10.0.0.0/8", "fe80::/10"])

    assert policy.refusal("169.254.169.254") is not None
    assert policy.refusal("192.168.0.1", notification=True) is not None


@pytest.mark.parametrize("entry", ["", "metadata.internal", "10.0.0.0/33", "0x7f.1", "10.0.0.1-10.0.0.9", "fe80::/200"])
def test_an_entry_that_is_no_network_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="neither an IP address nor a network") as caught:
        EgressPolicy.parse(["10.0.0.0/8", entry])

    assert repr(entry) in str(caught.value)
