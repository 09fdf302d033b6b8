"""libcurl by way of pycurl, which is not always there: what it speaks here, and the handles that transfers share.

Nothing is loaded before somebody asks for HTTP/2 or HTTP/3. What libcurl would take from the environment by itself (keys
written to a file, a proxy, certificate authorities) is kept from it or decided by us.
"""

import os
import re
import ssl
from asyncio import AbstractEventLoop, get_running_loop
from functools import cache
from pathlib import Path
from typing import Any, Literal
from weakref import WeakKeyDictionary

from laya_uptime.ports import Reach

Version = Literal["2", "3"]

_REMEDY = "pip install 'laya-uptime[http3]'"
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")
_NEEDED = ("AsyncCurlMulti", "PREREQFUNCTION")  # the first came with pycurl 7.49, the second with libcurl 7.80


@cache
def library() -> Any:  # noqa: ANN401  pycurl has no types
    """Return pycurl. Raise ImportError where it is missing or does not load."""
    # libcurl reads this variable once, as it starts, and from then on writes the keys of every connection to that file.
    keys = os.environ.pop("SSLKEYLOGFILE", None)
    try:
        import pycurl  # noqa: PLC0415  an extra, and megabytes of memory

        found: Any = pycurl
        found.Curl().close()  # the first handle starts the library
    finally:
        if keys is not None:
            os.environ["SSLKEYLOGFILE"] = keys
    return found


def require(version: Version) -> None:
    """Raise ValueError, with the remedy, where this installation cannot speak this version of HTTP."""
    try:
        pycurl = library()
    except ModuleNotFoundError:
        raise ValueError(f"HTTP/{version} needs pycurl, which is not installed: {_REMEDY}") from None
    except ImportError as error:
        raise ValueError(f"HTTP/{version} needs pycurl, which does not load ({error}): {_REMEDY}") from error
    if not all(hasattr(pycurl, name) for name in _NEEDED):
        raise ValueError(f"this pycurl is too old for HTTP/{version}: {_REMEDY}")
    info = pycurl.version_info()
    if not info[4] & (pycurl.VERSION_HTTP2 if version == "2" else pycurl.VERSION_HTTP3):
        raise ValueError(
            f"this pycurl has no HTTP/{version} (its libcurl is {info[1]}); the one that pip installs has it: {_REMEDY}"
        )


def authorities(ca_file: str | None) -> tuple[str | None, str | None]:
    """Return the file and the directory of the certificate authorities to trust; None: there is none.

    Without a `ca_file` these are the ones that Python's own TLS trusts, SSL_CERT_FILE and SSL_CERT_DIR included, and not
    the ones of the machine on which the library was built.
    """
    return _system_authorities() if ca_file is None else (ca_file, None)


@cache
def _system_authorities() -> tuple[str | None, str | None]:
    system = ssl.get_default_verify_paths()
    file: str | None = system.cafile  # typeshed has it that there always is one
    directory: str | None = system.capath
    # With a file alone libcurl reads it once; with a directory beside it for each connection, which would be most of the
    # cost of a check. So the directory is left out where it adds nothing.
    if file is not None and directory is not None and (_is_bundle_of(file, directory) or not _is_hashed(directory)):
        directory = None
    return file, directory


def _is_bundle_of(file: str, directory: str) -> bool:
    """Say whether this is Debian's bundle: it lies among the certificates that it consists of."""
    return Path(file).resolve().parent == Path(directory).resolve()


def _is_hashed(directory: str) -> bool:
    """Say whether OpenSSL would find anything there: it looks for files that are called like "5ed36f99.0"."""
    return any(_HASHED.fullmatch(entry.name) for entry in Path(directory).iterdir())


# One set of handles per dialer, as long as it lives. A handle reads its authorities once and keeps them for a day, so each
# file has its own, and a changed file a new one.
_SHARED: "WeakKeyDictionary[Reach, dict[str | None, tuple[int, AbstractEventLoop, Any]]]" = WeakKeyDictionary()


def transfers(via: Reach, ca_file: str | None) -> Any:  # noqa: ANN401  pycurl has no types
    """Return the `pycurl.AsyncCurlMulti` that does the transfers with these authorities in the running loop.

    Raise OSError where the file cannot be looked at.
    """
    loop = get_running_loop()
    stamp = 0 if ca_file is None else Path(ca_file).stat().st_mtime_ns
    known = _SHARED.setdefault(via, {})
    if ca_file not in known or known[ca_file][:2] != (stamp, loop):
        known[ca_file] = stamp, loop, library().AsyncCurlMulti()
    return known[ca_file][2]
