"""HTTPS: the certificate for each name, what a client must speak, and the certificate it must show."""

from __future__ import annotations

import os
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import structlog
from cryptography import x509

from collector.http.ciphers import openssl_names
from collector.wire.errors import InvalidOption

VERSIONS = {
    "tls10": ssl.TLSVersion.TLSv1,
    "tls11": ssl.TLSVersion.TLSv1_1,
    "tls12": ssl.TLSVersion.TLSv1_2,
    "tls13": ssl.TLSVersion.TLSv1_3,
}
DEPRECATED = ("tls10", "tls11")  # OpenSSL speaks them at its lowest level of security only
CLIENT_AUTH = {
    "none": ssl.CERT_NONE,
    # To ask for a certificate that is then ignored, as Go can, changes nothing for anybody who may come in.
    "request": ssl.CERT_NONE,
    "verify-if-given": ssl.CERT_OPTIONAL,
    "require-and-verify": ssl.CERT_REQUIRED,
}

log = structlog.get_logger(__name__)


class TlsOptions(NamedTuple):
    """What the options say about HTTPS, in their words."""

    certificates: tuple[tuple[str, str], ...]  # PEM files: a certificate with its chain, and its key
    min_version: str
    ciphers: tuple[str, ...]
    allow_insecure_ciphers: bool
    client_auth: str
    client_ca_file: str


class Certificates:
    """The certificates, each shown to clients that ask for one of its names; the first to all others.

    Raises:
        InvalidOption: a file cannot be used, a key is not that of its certificate, or an option cannot be had.
    """

    def __init__(self, options: TlsOptions) -> None:
        self._options = options
        self._read_at = self._state()
        self._first, self._by_name = self._load()
        # The listener keeps this one for good. It decides what a client must speak; which certificate it is shown is
        # decided at each handshake, so that one read later is shown too.
        self.context = self._context(*options.certificates[0])
        self.context.sni_callback = self._choose

    async def reload(self) -> None:
        """Read the files again if one of them changed. If they cannot be used this raises, and those before stay."""
        state = self._state()
        if state == self._read_at:
            return
        self._first, self._by_name = self._load()
        self._read_at = state
        log.info("the certificates were read again")

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _context: ssl.SSLContext) -> None:
        """The context for a client that asked for ``name``, which OpenSSL calls with None when it asked for none."""
        host = (name or "").lower()
        wildcard = f"*.{host.partition('.')[2]}"
        connection.context = self._by_name.get(host) or self._by_name.get(wildcard) or self._first

    def _load(self) -> tuple[ssl.SSLContext, dict[str, ssl.SSLContext]]:
        by_name: dict[str, ssl.SSLContext] = {}
        contexts = []
        for certificate, key in self._options.certificates:
            context = self._context(certificate, key)
            contexts.append(context)
            for name in _names(certificate):
                by_name.setdefault(name, context)
        return contexts[0], by_name

    def _context(self, certificate: str, key: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _set_version(context, self._options)
        _set_client_auth(context, self._options)
        _check_readable("CODER_TLS_CERT_FILE", certificate)
        _check_readable("CODER_TLS_KEY_FILE", key)
        try:
            context.load_cert_chain(certificate, key, password="")  # without one OpenSSL would ask on the terminal
        except ssl.SSLError as error:
            reason = (error.reason or "no certificate or no key").replace("_", " ").lower()
            raise InvalidOption(f"CODER_TLS_CERT_FILE: cannot use {certificate!r} with the key {key!r}: {reason}") from error
        return context

    def _state(self) -> tuple[tuple[int, int, int], ...]:
        """What changes with the files; of one that cannot be read nothing is known."""
        return tuple(_stamp(file) for file in self._files())

    def _files(self) -> Iterator[str]:
        for pair in self._options.certificates:
            yield from pair
        if self._options.client_ca_file:
            yield self._options.client_ca_file


def _check_readable(option: str, file: str) -> None:
    """OpenSSL does not say which of its files is missing."""
    try:
        Path(file).open("rb").close()
    except OSError as error:
        raise InvalidOption(f"{option}: cannot read {file}: {error.strerror}") from error


def _stamp(file: str) -> tuple[int, int, int]:
    try:
        found = os.stat(file)  # noqa: PTH116 — Path.stat says no more
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _names(certificate: str) -> Iterator[str]:
    """The DNS names of the first certificate in a file that OpenSSL has read already."""
    try:
        leaf = x509.load_pem_x509_certificates(Path(certificate).read_bytes())[0]
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    except (ValueError, OSError) as error:
        raise InvalidOption(f"CODER_TLS_CERT_FILE: cannot read the names in {certificate!r}") from error
    yield from (name.lower() for name in names.get_values_for_type(x509.DNSName))


def _set_version(context: ssl.SSLContext, options: TlsOptions) -> None:
    names = openssl_names(options.ciphers, allow_insecure=options.allow_insecure_ciphers)
    only_tls13 = bool(options.ciphers) and not names
    with warnings.catch_warnings(category=DeprecationWarning, action="ignore"):  # who asks for TLS 1.0 knows
        context.minimum_version = ssl.TLSVersion.TLSv1_3 if only_tls13 else VERSIONS[options.min_version]
    level = ["@SECLEVEL=0"] if options.min_version in DEPRECATED else []
    if not names and not level:
        return
    try:
        context.set_ciphers(":".join([*(names or ["DEFAULT"]), *level]))
    except ssl.SSLError as error:
        raise InvalidOption("CODER_TLS_CIPHERS: OpenSSL has none of these cipher suites") from error
    if missing := set(names) - {cipher["name"] for cipher in context.get_ciphers()}:
        raise InvalidOption(f"CODER_TLS_CIPHERS: OpenSSL has no {min(missing)}")


def _set_client_auth(context: ssl.SSLContext, options: TlsOptions) -> None:
    choice, file = options.client_auth, options.client_ca_file
    if choice not in CLIENT_AUTH:
        raise InvalidOption(
            f"CODER_TLS_CLIENT_AUTH: {choice} is not available here: OpenSSL verifies each certificate that it asks for;"
            " use require-and-verify"
        )
    context.verify_mode = CLIENT_AUTH[choice]
    if context.verify_mode is ssl.CERT_NONE:
        return
    if not file:
        raise InvalidOption(f"CODER_TLS_CLIENT_AUTH: {choice} needs CODER_TLS_CLIENT_CA_FILE")
    try:
        context.load_verify_locations(file)
    except (ssl.SSLError, OSError) as error:
        raise InvalidOption(f"CODER_TLS_CLIENT_CA_FILE: cannot use {file!r}: it holds no certificate in PEM") from error
