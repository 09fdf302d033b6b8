"""Hosts and URLs have one plain form, and what could be read in two ways is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laya_uptime.domain.secret import DOTS
from laya_uptime.domain.urls import canonical_host, literal, looks_secret, parse_url, redact


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("0x7f.1", "127.0.0.1"),
        ("0X7F.0.0.0X1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("127.0.1", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("0251.0376.0251.0376", "169.254.169.254"),
        ("0xa9fea9fe", "169.254.169.254"),
        ("127.0.0.1.", "127.0.0.1"),
        ("[::ffff:a9fe:a9fe]", "169.254.169.254"),
        ("[0:0:0:0:0:ffff:127.0.0.1]", "127.0.0.1"),
        ("[::1]", "::1"),
        ("::1", "::1"),
        ("[2001:DB8:0:0::1]", "2001:db8::1"),
        ("[fe80::1%25eth0]", "fe80::1%eth0"),
        ("[fe80::1%eth0]", "fe80::1%eth0"),
        ("\uff11\uff12\uff17\u30020\uff0e0\uff611", "127.0.0.1"),
        ("Example.COM", "example.com"),
        ("example.com.", "example.com."),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("fa\u00df.example", "xn--fa-hia.example"),
        ("\uff25\uff38ample.com", "example.com"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("my_service", "my_service"),
        ("1e100.net", "1e100.net"),
        ("localhost", "localhost"),
    ],
)
def test_s03_a_host_has_one_plain_form(written: str, plain: str) -> None:
    assert canonical_host(written) == plain
    assert canonical_host(plain) == plain


@pytest.mark.parametrize(
    "written",
    [
        "",
        ".",
        "a..b",
        ".a",
        "256.1.1.1",
        "1.2.3.4.5",
        "1.2.3.256",
        "0x1ffffffff",
        "08.1.1.1",
        "4294967296",
        "1.2.3.0xfffff",
        "[::1",
        "[1.2.3.4]",
        "[::g]",
        "[fe80::1%25]",
        "[fe80::1%25a b]",
        "[fe80::1%2525eth0]",
        "[fe80::1%2525]",
        "[2001:db8::1%eth0]",
        "a b",
        "a\tb",
        "a\x00b",
        "a/b",
        "a%2eb",
        "-oProxy",
        "a-.example",
        "x" * 64,
        ".".join(["x" * 60] * 5),
        "a\u200db.de",
        "a\u00adb\u200b",
        "\u2100.de",
        "a\uff0fb",
        "a\uff20b",
        "\u0301a",
        "\ud800",
        "a\u202eb",
        "\u0661\u0662\u0667.0.0.1",
        "evil@host",
        "host#x",
        "a\\b",
    ],
)
def test_s03_what_cannot_be_a_host_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"host|IPv|zone") as caught:
        canonical_host(written)

    assert len(written) < 4 or written not in str(caught.value)


@given(st.text(max_size=30))
def test_any_text_is_a_host_in_plain_form_or_refused(text: str) -> None:
    try:
        host = canonical_host(text)
    except ValueError:
        return

    assert host.isascii()
    assert canonical_host(host) == host


@given(st.integers(min_value=0, max_value=2**32 - 1))
def test_every_way_to_write_an_address_is_the_same_address(number: int) -> None:
    octets = number.to_bytes(4, "big")
    plain = ".".join(map(str, octets))

    assert canonical_host(str(number)) == plain
    assert canonical_host(hex(number)) == plain
    assert canonical_host(f"0{number:o}") == plain
    assert canonical_host(f"{octets[0]:#x}.{number & 0xFFFFFF}") == plain
    assert str(literal(plain)) == plain


@pytest.mark.parametrize("userinfo", ["a\udc88:b", "a:\ud800b"])
def test_a_user_or_password_that_is_no_text_is_refused_without_repeating_it(userinfo: str) -> None:
    with pytest.raises(ValueError, match="user or password") as caught:
        parse_url(f"http://{userinfo}@shop.example/")

    assert str(caught.value).isprintable()


def test_a_url_is_read_into_parts() -> None:
    url = parse_url("HTTPS://user:p%40ss@B\u00fccher.example:8443/a/b?x=1&token=t#part")

    assert (url.scheme, url.host, url.port) == ("https", "xn--bcher-kva.example", 8443)
    assert url.target == "/a/b?x=1&token=t"
    assert url.credentials is not None
    assert url.credentials.reveal() == "user:p@ss"
    assert url.authority == "xn--bcher-kva.example:8443"


@pytest.mark.parametrize(
    ("text", "authority", "target"),
    [
        ("http://h", "h", "/"),
        ("http://h:80/x", "h", "/x"),
        ("http://h:443/", "h:443", "/"),
        ("https://h:443?q=1", "h", "/?q=1"),
        ("http://h:/", "h", "/"),
        ("http://[::1]:8080/", "[::1]:8080", "/"),
        ("http://[fe80::1%25eth0]/", "[fe80::1]", "/"),
        ("http://0x7f.1/", "127.0.0.1", "/"),
        ("http://h/@user?a@b", "h", "/@user?a@b"),
    ],
)
def test_a_url_says_what_goes_on_the_wire(text: str, authority: str, target: str) -> None:
    url = parse_url(text)

    assert (url.authority, url.target) == (authority, target)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h",
        "//h/",
        "http:h",
        "http:/h",
        "http://",
        "http:///x",
        "http://:80/",
        "http://h:0/",
        "http://h:65536/",
        "http://h:x/",
        "http://h:\uff18\uff10/",
        "http://h:-1/",
        "http://a:b:c/",
        "http://[::1/",
        "http://[::1]x/",
        "http://h\\@x/",
        "http://h/\\x",
        "http://evil@host@x/",
        "http://h/a b",
        " http://h/",
        "http://h/\r\nX: y",
        "http://h/\x00",
        "http://h/\x85",
        "http://h/\u2028",
        "http://h/\u00fc",
        "http://h/?\u20ac",
        "ht\ttp://h/",
        "\x00http://h/",
    ],
)
def test_s03_j08_what_could_be_read_in_two_ways_is_no_url(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_url(text)


@pytest.mark.parametrize(
    "scheme", ["file", "FILE", "ftp", "data", "unix", "jar", "gopher", "javascript", "ws", "httpx"]
)
def test_s05_only_http_and_https_are_schemes(scheme: str) -> None:
    with pytest.raises(ValueError, match="http"):
        parse_url(f"{scheme}://h/x")


@pytest.mark.parametrize(
    "text",
    [
        "http://user:hunter2@h:99999/",
        "http://user:hunter2/",
        "http://user:hunter2@a@h/",
        "http://user:hunter2@-h/",
        "http://user:hunter2@h/ x",
        "ftp://user:hunter2@h/",
        "hunter2://h",
        "http://user:hun ter2@h/hunter2",
    ],
)
def test_k02_a_refused_url_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        parse_url(text)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://localhost:8000/api/v1/health/liveness", "http://localhost:8000/api/v1/health/liveness"),
        ("https://user:hunter2@h:8443/x", "https://h:8443/x"),
        ("https://h/x?a=1&token=hunter2&b=2", f"https://h/x?a=1&token={DOTS}&b=2"),
        ("https://h/?api_key=hunter2;x=1", f"https://h/?api_key={DOTS};x=1"),
        ("https://h/?%74oken=hunter2", f"https://h/?%74oken={DOTS}"),
        ("https://h/?author=me&monkey=1", "https://h/?author=me&monkey=1"),
        ("https://h/x#hunter2", "https://h/x"),
        ("http://user:hun/ter2@h/x", "http://h/x"),
        ("http://user:hunter2@h:99999/?key=hunter2", f"http://h:99999/?key={DOTS}"),
        ("user:hunter2@h", "h"),
        ("http://h/\r\nx", "http://h/\ufffd\ufffdx"),
    ],
)
def test_k02_a_shown_url_has_no_secret(text: str, shown: str) -> None:
    assert redact(text) == shown


@given(st.text(max_size=80))
def test_any_text_can_be_shown_as_a_url(text: str) -> None:
    assert redact(text).isprintable()


@pytest.mark.parametrize(
    "name", ["token", "access_token", "X-Auth", "apiKey", "API-KEY", "Authorization", "pwd", "sig", "session-id"]
)
def test_a_name_that_announces_a_secret_is_known(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize("name", ["author", "monkey", "page", "content-type", "design", "compass", "x-request-id"])
def test_a_name_that_announces_none_is_left_alone(name: str) -> None:
    assert not looks_secret(name)


@pytest.mark.parametrize(
    ("location", "lands"),
    [
        ("/x", "https://h:8443/x"),
        ("x", "https://h:8443/a/x"),
        ("?q", "https://h:8443/a/b?q"),
        ("//other/z", "https://other/z"),
        ("http://user:pass@other/z", "http://other/z"),
        ("/a b/\u00fc", "https://h:8443/a%20b/%C3%BC"),
        ("HTTP://0x7f.1/", "http://127.0.0.1/"),
    ],
)
def test_a_redirect_leads_somewhere_without_credentials(location: str, lands: str) -> None:
    there = parse_url("https://u:p@h:8443/a/b").join(location)

    assert there.redacted == lands
    assert there.credentials is None


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "gopher://h/",
        "javascript:alert(1)",
        "/\\evil",
        "a\tb",
        "//h\\@x",
        "http://",
        "http://h:x/",
        "a\r\nb",
    ],
)
def test_s01_a_redirect_to_no_web_address_is_refused(location: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_url("https://h/a/b").join(location)


def test_a_url_shows_no_secret_when_printed() -> None:
    url = parse_url("https://user:hunter2@h/?token=hunter2")

    assert "hunter2" not in repr(url)
    assert "hunter2" not in url.redacted
