"""A certificate authority for tests, and certificates of its making."""

import datetime
import ipaddress
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """Signs certificates for addresses."""

    def __init__(self) -> None:
        self._key = generate_private_key(SECP256R1())
        self._name = _name("test authority")
        self.certificate = self._signed(self._name, self._key, authority=True)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def write(
        self,
        folder: Path,
        address: str = "127.0.0.1",
        lasts: datetime.timedelta = 30 * DAY,
        begins: datetime.timedelta = -DAY,
        filling: int = 0,
    ) -> None:
        """tls.pem and tls.key in a folder; the certificate holds from `begins` to `lasts`, both from now, and so many
        bytes that say nothing."""
        key = generate_private_key(SECP256R1())
        names = [x509.IPAddress(ipaddress.ip_address(address))]
        self._write(
            folder, self._signed(_name("a server"), key, names=names, lasts=lasts, begins=begins, filling=filling), key
        )

    def write_itself(self, folder: Path) -> None:
        """tls.pem and tls.key of a server that shows the authority's own certificate, which nobody else has signed."""
        self._write(folder, self.certificate, self._key)

    def _write(self, folder: Path, certificate: x509.Certificate, key: EllipticCurvePrivateKey) -> None:
        (folder / "tls.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        encoded = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with os.fdopen(os.open(folder / "tls.key", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(encoded)

    def _signed(
        self,
        subject: x509.Name,
        key: EllipticCurvePrivateKey,
        names: list[x509.IPAddress] | None = None,
        authority: bool = False,
        lasts: datetime.timedelta = 30 * DAY,
        begins: datetime.timedelta = -DAY,
        filling: int = 0,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + lasts)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if authority:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if filling:
            nothing = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.25.1"), bytes(filling))
            builder = builder.add_extension(nothing, critical=False)
        return builder.sign(self._key, hashes.SHA256())
