"""Certificates and keys of one local control plane: its own CA, so that nothing here is trusted anywhere else."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dev.files import write_private

LIFETIME = datetime.timedelta(days=365)
SERVER_NAMES = ("localhost", "kubernetes.default.svc")
SERVER_ADDRESSES = ("127.0.0.1",)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path

    def exists(self) -> bool:
        """Whether both are there."""
        return self.certificate.exists() and self.key.exists()


class Pki:
    """Made once for a state folder, and kept over restarts."""

    def __init__(self, folder: Path) -> None:
        """Use this folder."""
        self.ca = Pair(folder / "ca.crt", folder / "ca.key")
        self.api_server = Pair(folder / "apiserver.crt", folder / "apiserver.key")
        self.admin = Pair(folder / "admin.crt", folder / "admin.key")
        self.service_account_key = folder / "service-account.key"
        self.service_account_public = folder / "service-account.pub"

    def ensure(self) -> None:
        """Make everything, unless it is there: the public key goes last and stands for the whole."""
        if self.service_account_public.exists():
            return
        ca_key = ec.generate_private_key(ec.SECP256R1())
        ca_name = _name("jetbridge-local-ca")
        ca = (
            _builder(ca_name, ca_name, ca_key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign_certificates=True), critical=True)
            .sign(ca_key, hashes.SHA256())
        )
        _write(self.ca, ca, ca_key)
        alternatives = [x509.DNSName(name) for name in SERVER_NAMES]
        addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in SERVER_ADDRESSES]
        _issue(
            self.api_server,
            _name("kube-apiserver"),
            ca,
            ca_key,
            ExtendedKeyUsageOID.SERVER_AUTH,
            [*alternatives, *addresses],
        )
        # system:masters is bound to cluster-admin in the API server itself.
        _issue(
            self.admin, _name("jetbridge-local-admin", "system:masters"), ca, ca_key, ExtendedKeyUsageOID.CLIENT_AUTH
        )
        # RSA as in common clusters: Vault is then set up against RS256, as it will be there.
        signing = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        write_private(self.service_account_key, _pem(signing))
        public = signing.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        write_private(self.service_account_public, public)


def _name(common: str, organisation: str | None = None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if organisation is not None:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.Name(attributes)


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))  # clocks that were just set
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _issue(
    pair: Pair,
    subject: x509.Name,
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    purpose: x509.ObjectIdentifier,
    names: list[x509.DNSName | x509.IPAddress] | None = None,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(subject, ca.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        # Python's strict verification (3.13 and later) wants the issuer's key named.
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    _write(pair, builder.sign(ca_key, hashes.SHA256()), key)


def _write(pair: Pair, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    write_private(pair.key, _pem(key))
    write_private(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM))


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
