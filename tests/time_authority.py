"""A time-stamp authority for tests: `openssl ts -reply` with certificates made here, and a web server on loopback."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CONFIGURATION = """
[tsa]
default_tsa = it
[it]
serial = {folder}/serial
signer_cert = {folder}/{signer}.pem
signer_key = {folder}/{signer}.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256, sha512
accuracy = secs:1, millisecs:500
clock_precision_digits = 3
ess_cert_id_alg = sha256
"""

TST_INFO = "1.2.840.113549.1.9.16.1.4"
REPLY_TYPE = "application/timestamp-reply"


def der(tag: int, content: bytes) -> bytes:
    """A DER element."""
    n = len(content)
    raw = n.to_bytes(max(1, (n.bit_length() + 7) // 8), "big")
    length = raw if n < 128 else bytes([0x80 | len(raw)]) + raw
    return bytes([tag]) + length + content


def sequence(content: bytes) -> bytes:
    """A DER SEQUENCE."""
    return der(0x30, content)


def tst_info(
    digest: bytes, *, time: str = "", serial: bytes = b"\x01", accuracy: bytes = b"", version: int = 1
) -> bytes:
    """A TSTInfo (RFC 3161, 2.4.2) over a SHA-256 digest."""
    sha256 = sequence(bytes.fromhex("0609608648016503040201") + b"\x05\x00")
    return sequence(
        der(2, bytes([version]))
        + der(6, bytes([0x2A, 3, 4]))
        + sequence(sha256 + der(4, digest))
        + der(2, serial)
        + der(0x18, (time or f"{datetime.now(UTC):%Y%m%d%H%M%SZ}").encode())
        + (sequence(der(2, accuracy)) if accuracy else b"")
    )


@dataclass
class Answer:
    """What the server sends; `pause` seconds between any two bytes of `dripped`."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": REPLY_TYPE})
    dripped: bool = False
    pause: float = 0.05


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey


class TimeAuthority:
    """The authority `tsa`, under the root `ca`; `other_ca` is a root of strangers."""

    answer = Answer
    tst_info = staticmethod(tst_info)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        (folder / "serial").write_text("01\n")
        self.ca = self.issue("ca", is_ca=True)
        self.tsa = self.issue("tsa", self.ca)
        self.issue("other_ca", is_ca=True)

    def path(self, name: str) -> Path:
        """Where the certificate of that name lies, PEM."""
        return self.folder / f"{name}.pem"

    def chain(self, *names: str) -> Path:
        """A file with several certificates."""
        path = self.folder / f"{'+'.join(names)}.pem"
        path.write_bytes(b"".join(self.path(name).read_bytes() for name in names))
        return path

    def issue(
        self,
        name: str,
        issuer: Issued | None = None,
        *,
        is_ca: bool = False,
        is_for_stamps: bool = True,
        starts: timedelta = timedelta(days=-1),
        ends: timedelta = timedelta(days=30),
        subject: str = "",
    ) -> Issued:
        """Make a certificate; without an issuer it is its own root."""
        key = generate_private_key(SECP256R1())
        own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject or f"Test {name}")])
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(own)
            .issuer_name(issuer.certificate.subject if issuer else own)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + starts)
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
        )
        if not is_ca:
            usage = ExtendedKeyUsageOID.TIME_STAMPING if is_for_stamps else ExtendedKeyUsageOID.SERVER_AUTH
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=is_for_stamps)
            loopback = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
            builder = builder.add_extension(loopback, critical=False)
        issued = Issued(builder.sign(issuer.key if issuer else key, SHA256()), key)
        self.path(name).write_bytes(issued.certificate.public_bytes(Encoding.PEM))
        (self.folder / f"{name}.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return issued

    def reply(self, query: bytes, signer: str = "tsa") -> bytes:
        """What OpenSSL's authority answers to a query."""
        with self._lock:
            configuration, asked, answered = (self.folder / name for name in ("tsa.cnf", "query.tsq", "reply.tsr"))
            configuration.write_text(CONFIGURATION.format(folder=self.folder, signer=signer))
            asked.write_bytes(query)
            answered.unlink(missing_ok=True)
            words = ["openssl", "ts", "-reply", "-config", configuration, "-queryfile", asked, "-out", answered]
            done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            return answered.read_bytes()

    def stamp(self, content: bytes, signer: str = "tsa") -> bytes:
        """A token over the SHA-256 of some bytes."""
        from onnxfp.trust.timestamp import make_query

        return self.reply(make_query(content).as_bytes(), signer)

    def sign_anything(self, info: bytes, signer: str) -> bytes:
        """A token around any TSTInfo, by any certificate: an authority of bad will can make it, openssl ts does not."""
        asked, signed = self.folder / "info.der", self.folder / "signed.der"
        asked.write_bytes(info)
        words: list[object] = ["openssl", "cms", "-sign", "-binary", "-nodetach", "-nosmimecap", "-outform", "DER"]
        words += ["-md", "sha256", "-econtent_type", TST_INFO, "-in", asked, "-out", signed]
        words += ["-signer", self.path(signer), "-inkey", self.folder / f"{signer}.key"]
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        granted = bytes([0x30, 3, 2, 1, 0])
        return sequence(granted + signed.read_bytes())

    @contextmanager
    def serve(self, answer: Callable[[bytes], Answer] | None = None, *, tls: str | None = None) -> Iterator[str]:
        """Run a web server on loopback that answers as told, by default as OpenSSL's authority; yields its URL."""
        respond = answer or (lambda query: Answer(self.reply(query)))

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.headers["Content-Type"] == "application/timestamp-query"
                given = respond(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(given.status)
                for name, value in given.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    step = 1 if given.dripped else max(1, len(given.body))
                    for start in range(0, len(given.body), step):
                        self.wfile.write(given.body[start : start + step])
                        self.wfile.flush()
                        if given.dripped:
                            time.sleep(given.pause)
                except OSError:
                    # Whoever asked has heard enough.
                    return

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """A client that hangs up, or trusts no certificate, is what the tests want."""

        server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            context = SSLContext(PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.path(tls), self.folder / f"{tls}.key")
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}/tsr"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
