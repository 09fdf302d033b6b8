"""One HTTP/2 or HTTP/3 exchange on a fresh connection, by libcurl, with the evidence and the limits of our own client.

libcurl frames, encrypts and verifies; it goes nowhere by itself. For HTTP/2 the guarded dialer connects, and libcurl gets
the open socket. For HTTP/3 it gets the vetted addresses, and sockets to these alone. It resolves no name, follows no
redirect, asks no proxy, keeps no cookie, and does not ask a second time. What comes is bounded as it comes, and
decompressed by us.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_address
from itertools import count
from typing import Any

from laya_uptime.adapters.net import curl_faults, tls
from laya_uptime.adapters.net.answer import LARGEST_BODY, shown_header
from laya_uptime.adapters.net.content import Decoder, NotDecodable, Overflow
from laya_uptime.adapters.net.exchange import trusted
from laya_uptime.adapters.net.faults import fault, from_os_error
from laya_uptime.adapters.net.http1 import Kept, Request
from laya_uptime.adapters.net.libcurl import Version, authorities, library, require, transfers
from laya_uptime.adapters.net.trail import ExchangeTrail
from laya_uptime.domain.egress import plain
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Certificate, TlsFacts
from laya_uptime.ports import Fault, Reach

_LARGEST_RAW = 2 << 20  # bytes of body as sent
_LARGEST_HEAD = 64 << 10  # bytes of status line and headers, trailers included
_MOST_HEADERS = 256
_MOST_INTERIM = 8  # answers of the kind 1xx before the real one
_MOST_CERTIFICATES = 10

_BODILESS = frozenset(("GET", "HEAD", "DELETE", "OPTIONS"))
_FRAMING = (b"connection:", b"content-length:")  # headers that say how HTTP/1.1 delimits a request
_ABORT = 0  # what a callback for data returns to end the transfer: that it has taken nothing
_TEXT = 0  # CURLINFO_TEXT: a remark, as opposed to what was sent and received
_NUMBERS = count()


def check_request(version: Version, *, scheme: str, method: str, has_body: bool) -> None:
    """Raise ValueError with a plain sentence where such requests cannot be made, here or at all."""
    if version == "3" and scheme != "https":
        raise ValueError("HTTP/3 is always encrypted: the URL must begin with https://")
    if method == "HEAD" and has_body:
        raise ValueError(f"a HEAD request with a body is not sent by HTTP/{version}")
    require(version)


class CurlExchange:
    """One request and its answer, in the form of `http1.Exchange`; every connection is a fresh one.

    https:// offers HTTP/1.1 beside HTTP/2, so that a server which knows no better is told apart from one that is down;
    its answer is a fault all the same. http:// begins with HTTP/2 at once (RFC 9113 section 3.3). With HTTP/3 the phase
    "connect" is the whole handshake of QUIC, TLS and all. The request's `proxy` and `keep_alive` are not for this.
    """

    __slots__ = ("_done", "_http_version", "_request", "_task", "_via", "_witness", "answer", "trail")

    fell_back = False
    is_fast = False
    awaits_proxy = False

    def __init__(
        self,
        via: Reach,
        request: Request,
        trail: ExchangeTrail,
        done: Callable[[Fault | None], None],
        *,
        http_version: Version,
        kept: Kept | None = None,
        keeps: bool = False,
        fast: bool = False,
        witness: Callable[[int, bytes], None] | None = None,
    ) -> None:
        """Begin nothing yet. Connections are not kept here, and libcurl has its own TLS.

        `witness` hears of everything that libcurl remarks, sends and receives: its kind, CURLINFO_*, and the bytes.
        """
        del kept, keeps, fast
        self.trail = trail
        self.answer = _Answer(trail, http_version, bodiless=request.method == "HEAD")
        self._via = via
        self._request = request
        self._http_version: Version = http_version
        self._done: Callable[[Fault | None], None] | None = done
        self._task: asyncio.Task[None] | None = None
        self._witness = witness

    def start(self) -> None:
        """Go."""
        # A task costs little beside what libcurl does.
        self._task = asyncio.get_running_loop().create_task(self._go())

    def cancel(self) -> None:
        """Drop everything."""
        self._done = None
        if self._task is not None:
            self._task.cancel()

    def keep(self) -> None:
        """Hand over no connection."""

    def fall_back(self) -> None:
        """Change nothing: there is one TLS library here."""

    async def _go(self) -> None:
        trouble: Fault | None = None
        try:
            await self._exchange()
        except Fault as error:
            trouble = error
        except OSError as error:
            trouble = from_os_error(error, self.trail.evidence(), phase=self.trail.phase)
        except Exception as error:  # noqa: BLE001  our own mistake is nobody's outage; its text may hold what nobody shall see
            detail = f"the check itself failed ({type(error).__name__})"
            trouble = fault(Reason.INTERNAL, detail, self.trail.evidence())
        self._task = None  # what follows may cancel this exchange, and shall not be cancelled by it
        done, self._done = self._done, None
        if done is not None:
            done(trouble)

    async def _exchange(self) -> None:
        via, request, trail = self._via, self._request, self.trail
        check_request(self._http_version, scheme=request.url.scheme, method=request.method, has_body=bool(request.body))
        if request.is_encrypted and (request.ca_file is not None or request.client is not None):
            # Says what is wrong with the files, where something is.
            trusted(via, trail, ca_file=request.ca_file, insecure=request.insecure, client=request.client)
        host, port = request.place or (request.url.host, request.url.port)
        sock: socket.socket | None = None
        if self._http_version == "3":
            addresses = await via.vet(
                host,
                purpose=request.purpose,
                explicit=request.explicit,
                resolver=request.resolver,
                version=request.version,
                trail=trail,
            )
        else:
            connection = await via.connect(
                host,
                port,
                purpose=request.purpose,
                explicit=request.explicit,
                resolver=request.resolver,
                version=request.version,
                trail=trail,
            )
            addresses, sock = (connection.address,), connection.detach()
        transfer = _Transfer(self._http_version, request, self.answer, trail, addresses=addresses, port=port, sock=sock)
        transfer.witness = self._witness
        try:
            await transfer.run(via)
            transfer.finish(via)
        finally:
            trail.enter(None)
            transfer.close()


class _Transfer:
    """One handle of libcurl: its options, its callbacks, and what they saw.

    An exception in a callback would end on the standard error stream, so what is wrong is kept here and the callback says
    that it took nothing, which ends the transfer.
    """

    witness: Callable[[int, bytes], None] | None = None  # of everything on the wire

    def __init__(
        self,
        version: Version,
        request: Request,
        answer: "_Answer",
        trail: ExchangeTrail,
        *,
        addresses: tuple[str, ...],
        port: int,
        sock: socket.socket | None,
    ) -> None:
        """Own the socket from here on; None: sockets to the addresses are opened as libcurl asks for them."""
        self._version = version
        self._request = request
        self._host = (request.server_name or request.url.host).removesuffix(".").partition("%")[0]
        self._port = port
        self._trail = trail
        self._addresses = {plain(ip_address(address)) for address in addresses}
        self._socket = sock
        self._opened: list[socket.socket] = [] if sock is None else [sock]
        self._upload = memoryview(request.body)
        self._answer = answer
        self._remarks = curl_faults.Remarks()
        self._pycurl: Any = library()
        self._easy: Any = self._pycurl.Curl()
        self._multi: Any = None
        self._future: asyncio.Future[Any] | None = None
        self._ending: BaseException | None = None
        self._halt: asyncio.Handle | None = None
        self._asked = False  # the request is on its way, so no further connection is
        self._choose_way(addresses)
        self._write_request()

    async def run(self, via: Reach) -> None:
        """Do the transfer to its end, good or bad. Cancelled, it leaves nothing behind."""
        if self._request.is_encrypted:
            self._choose_trust()
        self._multi = transfers(via, self._request.ca_file)
        self._trail.enter("connect" if self._socket is None else "tls" if self._request.is_encrypted else "send")
        future = self._future = self._multi.add_handle(self._easy)
        try:
            await asyncio.wait((future,))
        finally:
            self._stop()
        self._ending = None if future.cancelled() else future.exception()
        self._trail.enter(None)

    def finish(self, via: Reach) -> None:
        """Raise `Fault` where the answer is none, or not whole."""
        chain = self._chain()
        remarks = self._remarks
        if self._request.is_encrypted:
            self._trail.tls = TlsFacts(version=remarks.tls_version, cipher=remarks.cipher, chain=chain)
        if self._answer.failure is not None:
            raise self._answer.failure
        if isinstance(self._ending, self._pycurl.error):
            raise self._why(chain, via)
        if self._ending is not None:
            raise self._ending
        self._answer.end()

    def close(self) -> None:
        """Let go of the handle and what it holds. Never raises."""
        if self._halt is not None:
            self._halt.cancel()
        self._easy.close()
        for sock in self._opened:
            sock.close()

    def _stop(self) -> None:
        """End the transfer, if it still runs."""
        if self._future is not None and not self._future.done():
            self._multi.remove_handle(self._easy)

    def _choose_way(self, addresses: tuple[str, ...]) -> None:
        """Set what is spoken, and where to; the fences stand here."""
        curl, setopt, request = self._pycurl, self._easy.setopt, self._request
        setopt(curl.PROTOCOLS, curl.PROTO_HTTPS if request.is_encrypted else curl.PROTO_HTTP)
        if self._version == "3":
            setopt(curl.HTTP_VERSION, curl.CURL_HTTP_VERSION_3ONLY)
        elif request.is_encrypted:
            setopt(curl.HTTP_VERSION, curl.CURL_HTTP_VERSION_2TLS)
        else:
            setopt(curl.HTTP_VERSION, curl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE)
        # Transfers share a cache of names. Under a name that only this one knows, nobody's answer is somebody else's.
        name = f"transfer-{next(_NUMBERS)}.invalid"
        places = ",".join(f"[{address}]" if ":" in address else address for address in map(_without_zone, addresses))
        setopt(curl.CONNECT_TO, [f"::{name}:{self._port}"])
        setopt(curl.RESOLVE, [f"+{name}:{self._port}:{places}"])
        setopt(curl.RESOLVER_START_FUNCTION, _refuse)
        setopt(curl.OPENSOCKETFUNCTION, self._on_open)
        if self._socket is not None:
            setopt(curl.SOCKOPTFUNCTION, self._on_socket)
        setopt(curl.PREREQFUNCTION, self._on_connected)
        setopt(curl.PROXY, "")
        setopt(curl.NOPROXY, "*")
        setopt(curl.NETRC, curl.NETRC_IGNORED)
        setopt(curl.FOLLOWLOCATION, 0)
        setopt(curl.FRESH_CONNECT, 1)
        setopt(curl.FORBID_REUSE, 1)
        setopt(curl.NOSIGNAL, 1)
        setopt(curl.CONNECTTIMEOUT, 2 * 3600)  # the deadline is the caller's; libcurl's own would be 5 minutes

    def _choose_trust(self) -> None:
        curl, setopt, request = self._pycurl, self._easy.setopt, self._request
        setopt(curl.SSL_VERIFYPEER, 0 if request.insecure else 1)
        setopt(curl.SSL_VERIFYHOST, 0 if request.insecure else 2)
        setopt(curl.SSLVERSION, curl.SSLVERSION_TLSv1_2)
        setopt(curl.SSL_SESSIONID_CACHE, 0)
        setopt(curl.OPT_CERTINFO, 1)
        if request.ca_file is None:  # a server's own certificate is trusted only where somebody wrote it into a file
            setopt(curl.SSL_OPTIONS, curl.SSLOPT_NO_PARTIALCHAIN)
        file, directory = authorities(request.ca_file)
        for option, value in ((curl.CAINFO, file), (curl.CAPATH, directory)):
            if value is None:
                self._easy.unsetopt(option)
            else:
                setopt(option, value)
        if request.client is not None:
            setopt(curl.SSLCERT, request.client.certificate)
            setopt(curl.SSLKEY, request.client.key or request.client.certificate)

    def _write_request(self) -> None:
        curl, setopt, request = self._pycurl, self._easy.setopt, self._request
        url, method = request.url, request.method
        # Whom the certificate must be for, and the server is told so, is the URL's host; the Host header is our own.
        named = url if request.server_name is None else replace(url, host=request.server_name)
        setopt(curl.URL, f"{url.scheme}://{named.authority}{url.target}".encode("ascii"))
        setopt(curl.PATH_AS_IS, 1)
        lines = [line for line in request.head.split(b"\r\n")[1:] if line]
        kept = [_for_libcurl(line) for line in lines if not line.lower().startswith(_FRAMING)]
        setopt(curl.HTTPHEADER, [*kept, b"Expect:"])
        setopt(curl.HTTP_CONTENT_DECODING, 0)
        if method == "HEAD":
            setopt(curl.NOBODY, 1)
        elif self._upload or method not in _BODILESS:
            setopt(curl.UPLOAD, 1)
            setopt(curl.INFILESIZE_LARGE, len(self._upload))
            setopt(curl.READFUNCTION, self._on_read)
            setopt(curl.CUSTOMREQUEST, method)
        else:
            setopt(curl.CUSTOMREQUEST, method)
        setopt(curl.HEADERFUNCTION, self._on_header)
        setopt(curl.WRITEFUNCTION, self._on_body)
        setopt(curl.VERBOSE, 1)  # the TLS version, and the codes of HTTP/2, are told nowhere else
        setopt(curl.DEBUGFUNCTION, self._on_remark)

    def _chain(self) -> tuple[Certificate, ...]:
        found = []
        for fields in self._easy.getinfo_raw(self._pycurl.INFO_CERTINFO)[:_MOST_CERTIFICATES]:
            pem = next((value for key, value in fields if key == b"Cert"), None)
            certificate = None if pem is None else _certificate(pem)
            if certificate is None:
                break
            found.append(certificate)
        return tuple(found)

    def _why(self, chain: tuple[Certificate, ...], via: Reach) -> Fault:
        """Return the fault of a transfer that libcurl gave up."""
        assert isinstance(self._ending, Exception)
        code, text = self._ending.args
        ending = curl_faults.Ending(
            code=code,
            text=text,
            errno=self._easy.getinfo(self._pycurl.OS_ERRNO),
            verdict=self._easy.getinfo(self._pycurl.SSL_VERIFYRESULT),
            version=self._version,
            remarks=self._remarks,
        )
        why = curl_faults.why(ending, chain, host=self._host, now=via.clock.now())
        if why.is_distrust and self._trail.tls is not None:
            remarks = self._remarks
            self._trail.tls = TlsFacts(
                version=remarks.tls_version, cipher=remarks.cipher, chain=chain, fault=why.detail
            )
        if why.is_cut:
            return self._answer.cut(why)
        phase = self._trail.phase if why.reason is Reason.TIMEOUT else None
        return fault(why.reason, why.detail, self._trail.evidence(), phase=phase)

    # What follows is called by libcurl.

    def _on_open(self, purpose: int, place: Any) -> Any:  # noqa: ANN401  pycurl has no types
        """Return the socket for this place, or none: once the request is out there is no second one."""
        del purpose
        address, port = place.addr[:2]
        if self._asked or port != self._port or plain(ip_address(_without_zone(address))) not in self._addresses:
            return self._pycurl.SOCKET_BAD
        if self._socket is not None:
            sock, self._socket = self._socket, None
            return sock
        if self._version != "3":
            return self._pycurl.SOCKET_BAD
        try:
            sock = socket.socket(place.family, socket.SOCK_DGRAM)
        except OSError as error:
            self._remarks.errno = error.errno
            return self._pycurl.SOCKET_BAD
        sock.setblocking(False)
        self._opened.append(sock)
        return sock

    def _on_socket(self, *_: object) -> int:
        return int(self._pycurl.SOCKOPT_ALREADY_CONNECTED)

    def _on_connected(self, address: str, *_: object) -> int:
        """Note that the connection stands and the request is about to be sent. Refuse a second one."""
        if self._asked:
            return int(self._pycurl.PREREQFUNC_ABORT)
        self._asked = True
        self._trail.address = address
        self._trail.enter("send")
        if not self._upload:
            self._trail.enter("wait")
        return int(self._pycurl.PREREQFUNC_OK)

    def _on_read(self, size: int) -> bytes:
        piece, self._upload = bytes(self._upload[:size]), self._upload[size:]
        if not self._upload and self._trail.phase == "send":
            self._trail.enter("wait")
        return piece

    def _on_header(self, line: bytes) -> int | None:
        return None if self._answer.take_line(line) else _ABORT

    def _on_body(self, data: bytes) -> int | None:
        return None if self._answer.take_body(data) else _ABORT

    def _on_remark(self, kind: int, line: bytes) -> None:
        if self.witness is not None:
            self.witness(kind, line)
        if kind != _TEXT:
            return
        self._remarks.note(line.decode("latin-1").strip())
        if self._remarks.broken is not None and self._halt is None:
            # libcurl may go on waiting for what nobody reads any more. First it gets the chance to say more.
            loop = asyncio.get_running_loop()
            self._halt = loop.call_soon(lambda: setattr(self, "_halt", loop.call_soon(self._give_up)))

    def _give_up(self) -> None:
        if self._future is None or self._future.done() or self._remarks.broken is None:
            return
        why = curl_faults.broken(self._remarks.broken)
        self._answer.failure = fault(why.reason, why.detail, self._trail.evidence())
        self._stop()


class _Answer:
    """What came, within its limits. It writes what it learns into the trail at once."""

    def __init__(self, trail: ExchangeTrail, version: Version, *, bodiless: bool) -> None:
        self.failure: Fault | None = None
        self._trail = trail
        self._version = version
        self._bodiless = bodiless  # HEAD: the headers speak of a body that does not come
        self._headers: list[tuple[str, str]] = []
        self._status = 0
        self._in_body = False
        self._interim = 0
        self._lines = 0
        self._head_received = 0
        self._body_received = 0
        self._declared: int | None = None
        self._decoder = Decoder("", room=LARGEST_BODY)

    def take_line(self, line: bytes) -> bool:
        """Take a status line, a header, a trailer, or the empty line after them. Return False to end the transfer."""
        if self._trail.phase != "read":
            self._trail.enter("read")
        self._head_received += len(line)
        if self._head_received > _LARGEST_HEAD:
            return self._refuse(Reason.TOO_LARGE, "the headers are too large: more than 64 KiB")
        if self._in_body:
            return self._count_line()
        text = line.rstrip(b"\r\n")
        if not text:
            return self._complete_head()
        if not self._status:
            return self._take_status(text)
        name, _, value = text.partition(b":")
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1").strip()))
        return self._count_line()

    def take_body(self, data: bytes) -> bool:
        """Take a piece of the body. Return False to end the transfer."""
        self._body_received += len(data)
        if self._body_received > _LARGEST_RAW:
            return self._refuse(Reason.TOO_LARGE, "the body is too large: more than 2 MiB as sent")
        try:
            self._trail.add_body(self._decoder.feed(data))
        except Overflow:
            return self._refuse(Reason.TOO_LARGE, "the body is too large: more than 1 MiB")
        except NotDecodable as error:
            return self._refuse(Reason.BODY_INVALID, str(error))
        return True

    def end(self) -> None:
        """Take the end of the answer. Raise `Fault` where it is not whole then."""
        if not self._in_body:
            raise fault(Reason.RESET, "Connection closed without an answer", self._trail.evidence())
        if not self._bodiless and not self._decoder.is_complete:
            sentence = f"the {self._decoder.names} data of the body ends early"
            raise fault(Reason.TRUNCATED, sentence, self._trail.evidence())

    def cut(self, why: curl_faults.Why) -> Fault:
        """Return the fault of a stream that ended too soon."""
        evidence = self._trail.evidence()
        if self._in_body:
            of = "" if self._declared is None else f" of {self._declared}"
            return fault(Reason.TRUNCATED, f"the answer ended after {self._body_received}{of} bytes of body", evidence)
        if self._head_received:
            return fault(Reason.TRUNCATED, "the answer ended within its headers", evidence)
        detail = why.detail if why.reason is Reason.RESET else "Connection closed without an answer"
        return fault(Reason.RESET, detail, evidence)

    @property
    def location(self) -> str | None:
        """Return the value of the Location header; None: there is none."""
        return next((value for key, value in self._headers if key == "location"), None)

    def _take_status(self, text: bytes) -> bool:
        """Take "HTTP/2 200" or "HTTP/1.1 200 OK"; libcurl has seen to its form."""
        protocol, _, rest = text.partition(b" ")
        code, _, phrase = rest.decode("latin-1").partition(" ")
        if not code.isdigit() or not 100 <= int(code) <= 999:
            return self._refuse(Reason.HTTP_PROTOCOL, "the answer has no valid status code")
        self._status = int(code)
        self._trail.http_version = protocol.decode("latin-1").removeprefix("HTTP/")[:10]
        self._trail.status_text = "".join(char for char in phrase if char.isprintable())[:200]
        return True

    def _complete_head(self) -> bool:
        """Decide what is to come after the headers."""
        if self._status < 200:
            self._interim += 1
            self._status = 0
            self._headers.clear()
            if self._interim > _MOST_INTERIM:
                return self._refuse(Reason.HTTP_PROTOCOL, f"more than {_MOST_INTERIM} interim answers")
            return True
        trail = self._trail
        trail.status = self._status
        trail.headers = tuple((name, shown_header(name, value)) for name, value in self._headers)
        trail.content_type = self._all("content-type")
        self._in_body = True
        if trail.http_version != self._version:
            sentence = f"the server spoke HTTP/{trail.http_version}, not HTTP/{self._version}"
            return self._refuse(Reason.HTTP_PROTOCOL, sentence)
        if self._bodiless or self._status in {204, 304}:
            return True
        length = self._all("content-length")
        self._declared = int(length) if length.isascii() and length.isdigit() and len(length) < 20 else None
        try:
            self._decoder = Decoder(self._all("content-encoding"), room=LARGEST_BODY)
        except NotDecodable as error:
            return self._refuse(Reason.BODY_INVALID, str(error))
        limit = LARGEST_BODY if self._decoder.is_identity else _LARGEST_RAW
        if self._declared is not None and self._declared > limit:
            return self._refuse(Reason.TOO_LARGE, f"the body is too large: {self._declared} bytes are announced")
        return True

    def _count_line(self) -> bool:
        self._lines += 1
        if self._lines > _MOST_HEADERS:
            return self._refuse(Reason.TOO_LARGE, f"the headers are too many: more than {_MOST_HEADERS}")
        return True

    def _all(self, name: str) -> str:
        return ", ".join(value for key, value in self._headers if key == name)

    def _refuse(self, reason: Reason, detail: str) -> bool:
        self.failure = fault(reason, detail, self._trail.evidence())
        return False


def _refuse(*_: object) -> int:
    """Let libcurl look no name up: the one that it is to use is in its cache."""
    return 1


def _for_libcurl(line: bytes) -> bytes:
    """Return a header line as libcurl wants it: one without a value ends with a semicolon, or it would be left out."""
    name, _, value = line.partition(b":")
    return line if value.strip() else name + b";"


def _without_zone(address: str) -> str:
    return address.partition("%")[0]


@lru_cache(maxsize=1024)
def _certificate(pem: bytes) -> Certificate | None:
    """Return the facts of a certificate; None: it has dates or names that no calendar or alphabet has."""
    try:
        return tls.from_der(ssl.PEM_cert_to_DER_cert(pem.decode("ascii")))
    except (KeyError, OverflowError, ValueError):
        return None
