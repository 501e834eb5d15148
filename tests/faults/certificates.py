"""Certificates that are made when the tests run: an authority, and what it and others sign."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HERE = x509.IPAddress(ip_address("127.0.0.1"))
ELSEWHERE = x509.DNSName("elsewhere.example")


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    key: ec.EllipticCurvePrivateKey, subject: str, signer: Authority | None, place: x509.GeneralName, days: int
) -> x509.Certificate:
    """Good from two days ago until ``days`` from now; signed by itself where no authority signs it."""
    now = datetime.now(UTC)
    issuer = signer.certificate.subject if signer else _name(subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([place]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    by = signer.key.public_key() if signer else key.public_key()
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by), critical=False)
    return builder.sign(signer.key if signer else key, hashes.SHA256())


@dataclass(frozen=True)
class Authority:
    """Signs certificates; ``file`` is its own, as PEM. Nothing is kept beyond the test's folder."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def file(self) -> Path:
        return self.folder / "authority.pem"

    def context(
        self, name: str, *, place: x509.GeneralName = HERE, days: int = 2, own: bool = False
    ) -> ssl.SSLContext:
        """A server's side of TLS with a fresh certificate; ``own``: signed by itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(key, name, None if own else self, place, days)
        pem, none = serialization.Encoding.PEM, serialization.NoEncryption()
        file = self.folder / f"{name}.pem"
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none)
        file.write_bytes(private + certificate.public_bytes(pem))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def make_authority(folder: Path) -> Authority:
    """An authority of its own for each run."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority = Authority(folder, key, _certificate(key, "authority", None, ELSEWHERE, 2))
    authority.file.write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
    return authority
