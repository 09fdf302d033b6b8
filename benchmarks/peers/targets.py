"""What is checked: nginx for HTTP, a Go server for HTTPS, on loopback, with a certificate authority made for the run."""

import ipaddress
import os
import re
import socket
import ssl
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from laya_uptime.adapters.clock import SystemClock
from peers.processes import Child

PORTS = 16  # from one address to one port there are only some 28,000 connections a minute
BODY = (
    '{"status":"healthy","version":"1.0.0","uptime":86400,"checks":{"database":{"status":"healthy","message":'
    '"Database connection successful"},"cache":{"status":"healthy","message":"Cache is reachable"},"queue":'
    '{"status":"healthy","message":"0 jobs are waiting"},"disk":{"status":"healthy"}}}'
).ljust(300)

_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")

_NGINX = """
daemon off;
master_process off;
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  default_type application/json;
  server {{
    {listen}
    location / {{ return 200 '{body}'; }}
    location = /status {{ stub_status; }}
  }}
}}
"""


@dataclass(frozen=True)
class Target:
    """A server that runs: what to check, and how many connections and resumed TLS sessions it has seen."""

    child: Child
    urls: tuple[str, ...]

    def counts(self) -> tuple[int, int]:
        """Return connections accepted so far, and how many of them resumed an earlier TLS session."""
        if self.urls[0].startswith("https:"):
            seen = self.child.ask("")
            return seen["connections"], seen["resumed"]
        with urllib.request.urlopen(f"{self.urls[0]}status", timeout=10) as answer:
            numbers = re.search(rb"requests\s+\d+ (\d+) ", answer.read())
        assert numbers
        return int(numbers.group(1)), 0


def free_ports(count: int) -> list[int]:
    """Return ports that nobody uses now."""
    with ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [sock.getsockname()[1] for sock in held]


def _wait_for(port: int, child: Child) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until and child.process.poll() is None:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit(f"{child.name} does not listen")


@contextmanager
def http_target(nginx: Path, folder: Path, *, core: int, ports: int = PORTS) -> Iterator[Target]:
    """Run nginx with its own keep-alive settings: whether a connection is fresh is for the client to decide."""
    numbers = free_ports(ports)
    folder.mkdir()
    file = folder / "nginx.conf"
    listen = " ".join(f"listen 127.0.0.1:{port} backlog=4096;" for port in numbers)
    user = "user root;\n" if os.geteuid() == 0 else ""
    file.write_text(user + _NGINX.format(folder=folder, listen=listen, body=BODY), encoding="utf-8")
    with Child([nginx, "-p", folder, "-e", "stderr", "-c", file], core=core) as child:
        for port in numbers:
            _wait_for(port, child)
        yield Target(child, tuple(f"http://127.0.0.1:{port}/" for port in numbers))


@dataclass(frozen=True)
class Authority:
    """Files in PEM: the authority alone, it among all that the system trusts, and a server's certificate and key."""

    alone: Path
    bundle: Path
    certificate: Path
    key: Path


def authority(folder: Path) -> Authority:
    """Make an authority and a P-256 certificate for 127.0.0.1 that it signed.

    The bundle holds the system's authorities as well, some 140: a file with a single one would flatter whoever reads it
    anew for each connection.
    """
    now = SystemClock().now()
    begin, end = now - timedelta(hours=1), now + timedelta(days=60)
    root_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Benchmark Authority")])
    base = x509.CertificateBuilder().not_valid_before(begin).not_valid_after(end)
    root = (
        base.subject_name(root_name)
        .issuer_name(root_name)
        .public_key(root_key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()), critical=False)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")],
    )
    leaf = (
        base.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]))
        .issuer_name(root_name)
        .public_key(leaf_key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(leaf_key.public_key()), critical=False)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    made = Authority(folder / "ca.pem", folder / "bundle.pem", folder / "leaf.pem", folder / "leaf.key")
    pem = serialization.Encoding.PEM
    made.alone.write_bytes(root.public_bytes(pem))
    made.bundle.write_bytes(_trusted_by_the_system() + root.public_bytes(pem))
    made.certificate.write_bytes(leaf.public_bytes(pem))
    made.key.write_bytes(
        leaf_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    return made


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _trusted_by_the_system() -> bytes:
    for place in (ssl.get_default_verify_paths().cafile, *_BUNDLES):
        if place and Path(place).is_file():
            return Path(place).read_bytes().rstrip() + b"\n"
    raise SystemExit("no file with the system's certificate authorities was found (Debian: ca-certificates)")


@contextmanager
def https_target(server: Path, made: Authority, *, core: int) -> Iterator[Target]:
    """Run the Go server: TLS 1.3, P-256, session tickets given out as by any server."""
    numbers = [str(port) for port in free_ports(PORTS)]
    with Child([server, made.certificate, made.key, BODY, *numbers], core=core) as child:
        child.line()
        for port in numbers:
            _wait_for(int(port), child)
        yield Target(child, tuple(f"https://127.0.0.1:{port}/" for port in numbers))
