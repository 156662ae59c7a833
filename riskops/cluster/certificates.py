"""Certificates for a cluster's TLS: an authority of its own, and one certificate that all its nodes show."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

from riskops.checks import check_integer
from riskops.errors import InputError, MissingExtraError

__all__ = ["write_certificates"]

CA, CERT, KEY = "ca.pem", "cert.pem", "key.pem"

#: Everything that a key may be for, as x509 names it; each certificate is for one thing.
USES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def write_certificates(folder: str | Path, *, days: int = 365) -> dict[str, str]:
    """Make an authority and one certificate signed by it, for the scheduler, the workers and the clients alike.

    Whoever has the key can run code on the cluster. The authority's own key is not kept, so that nobody can sign
    another certificate: for another cluster, or after a loss, make them anew.

    Parameters
    ----------
    folder
        Where to write ``ca.pem``, ``cert.pem`` and ``key.pem``; it is made, with access for its owner alone.
    days
        How long they are valid.

    Returns
    -------
    dict
        ``ca``, ``cert`` and ``key``: the files, as ``cluster.tls`` takes them.

    Raises
    ------
    InputError
        A file exists already, or can't be written.
    MissingExtraError
        The package cryptography is not installed.
    """
    check_integer("days", days, at_least=1)
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
    except ModuleNotFoundError:
        raise MissingExtraError("certificates: need cryptography: pip install 'riskops[tls]'") from None

    # Clocks differ between machines: what is valid only from now on might not be valid there yet.
    begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    end = begin + datetime.timedelta(days=days, hours=1)

    def certificate(name: str, key: Any, signer: str, signing_key: Any, *, authority: bool) -> Any:
        subject, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in (name, signer))
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        uses = dict.fromkeys(USES, False) | {"key_cert_sign" if authority else "digital_signature": True}
        builder = builder.add_extension(x509.KeyUsage(**uses), critical=True)
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(own, critical=False)
        if not authority:
            both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            builder = builder.add_extension(x509.ExtendedKeyUsage(both), critical=False)
            theirs = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key())
            builder = builder.add_extension(theirs, critical=False)
        return builder.sign(signing_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    root, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    home = Path(folder)
    written = {
        "ca": (CA, certificate("riskops authority", root, "riskops authority", root, authority=True)),
        "cert": (CERT, certificate("riskops node", key, "riskops authority", root, authority=False)),
        "key": (KEY, private),
    }
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        taken = [name for name, _ in written.values() if (home / name).exists()]
        if taken:
            raise InputError(f"{home}: {', '.join(taken)} exists; choose another folder")
        for name, text in written.values():
            # Readable by the owner alone from its first byte on.
            with open(os.open(home / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(text)
    except OSError as problem:
        raise InputError(f"{home}: can't be written: {problem.strerror}") from problem
    return {name: str(home / file) for name, (file, _) in written.items()}
