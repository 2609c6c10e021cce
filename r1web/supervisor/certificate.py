"""A self-signed certificate for --tls, under the data directory."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from r1web.supervisor import stamps

# Browsers refuse certificates that are valid for longer.
VALID_DAYS = 397
RENEWED_DAYS_BEFORE = 30


def files(data: Path, hosts: list[str]) -> tuple[Path, Path]:
    """Paths of certificate and key; made anew when names changed or the end is near."""
    certificate, key = data / "tls" / "certificate.pem", data / "tls" / "key.pem"
    if not _still_fits(certificate, hosts) or not key.exists():
        _make(certificate, key, hosts)
    return certificate, key


def _names(hosts: list[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in hosts:
        bare = host.strip("[]").partition("%")[0]
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(bare)))
        except ValueError:
            names.append(x509.DNSName(bare))
    return names


def _still_fits(path: Path, hosts: list[str]) -> bool:
    if not path.exists():
        return False
    present = x509.load_pem_x509_certificate(path.read_bytes())
    named = present.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    is_long = present.not_valid_after_utc - datetime.now(UTC) > timedelta(days=RENEWED_DAYS_BEFORE)
    return is_long and set(_names(hosts)) <= set(named)


def _make(certificate: Path, key_path: Path, hosts: list[str]) -> None:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "R1 Web")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(_names(hosts)), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    stamps.write_private(key_path, private.decode())
    stamps.write_private(certificate, built.public_bytes(pem).decode())
