"""TLS before a plain server of the tests, and the certificates for it."""

from __future__ import annotations

import contextlib
import datetime
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

__all__ = ["tls_front", "write_certificate"]


def write_certificate(path: Path, address: str = "127.0.0.1") -> Path:
    """A certificate that signs itself, with its key in the same PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(address))]), critical=False
        )
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(made.public_bytes(Encoding.PEM) + private)
    return path


def _pump(near: ssl.SSLSocket, far: socket.socket) -> None:
    other = {near: far, far: near}
    while True:
        ready = [near] if near.pending() else select.select([near, far], [], [])[0]
        for one in ready:
            data = one.recv(1 << 16)
            if not data:
                return
            other[one].sendall(data)


@contextmanager
def tls_front(server_port: int, certificate: Path) -> Iterator[int]:
    """Speak TLS on a port of its own, and pass on what is said to a server of this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))

    def talk(plain: socket.socket) -> None:
        # Whoever refuses the certificate hangs up in mid-handshake.
        with (
            contextlib.suppress(OSError),
            context.wrap_socket(plain, server_side=True) as near,
            socket.create_connection(("127.0.0.1", server_port)) as far,
        ):
            _pump(near, far)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = listener.accept()
                threading.Thread(target=talk, args=(plain,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=5)
