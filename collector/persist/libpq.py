"""A PostgreSQL URL, read as libpq reads it and translated for asyncpg.

asyncpg reads such URLs too, but otherwise: it cuts a password at ``#`` or ``?``, takes ``+`` for a space, prefers the
host before the path to ``?host=``, and sends what it does not know (``connect_timeout``) to the server as a setting.
The grammar here is libpq's (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS).
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import unquote, urlencode

from collector.wire.errors import InvalidOption

OPTION = "CODER_PG_CONNECTION_URL"
DEFAULT_PORT = 5432

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
# asyncpg understands these in its DSN as libpq does.
PASSED_ON = (
    *FILES,
    *("sslmode", "sslpassword", "sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version"),
    *("passfile", "service", "target_session_attrs", "krbsrvname"),
)
ARGUMENTS = ("user", "password", "host", "port", "dbname")
SERVER_SETTINGS = ("application_name", "fallback_application_name", "options")
# asyncpg cannot do otherwise, so these values say nothing; hosted databases put some of them into the URLs they hand out.
NOTHING_ELSE = {
    "channel_binding": ("disable", "prefer"),
    "gssencmode": ("disable", "prefer"),
    "sslcompression": ("0",),
    "sslsni": ("1",),
    "load_balance_hosts": ("disable",),
    "client_encoding": ("utf8", "UTF8", "auto"),
}
ALLOWED_VALUES = NOTHING_ELSE | {
    "sslmode": SSL_MODES,
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "ssl_min_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
    "ssl_max_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
}
KNOWN = {*ARGUMENTS, *PASSED_ON, *SERVER_SETTINGS, *NOTHING_ELSE, "connect_timeout"}


def asyncpg_connect_args(url: str, *, server_settings: dict[str, str]) -> dict[str, Any]:
    """The keyword arguments of ``asyncpg.connect`` for ``url``; what it leaves open comes from libpq's ``PG*`` variables.

    ``server_settings`` are sent at the start of a session; ``application_name`` in the URL outranks the one there.

    Raises:
        InvalidOption: the URL is none that libpq takes, or asks for what asyncpg cannot do. The message names the
            parameter; it never holds the URL, the user or the password.
    """
    words = _words(url)
    _check(words)
    arguments = {"dsn": "postgresql://", "server_settings": server_settings | _session(words), **_address(words)}
    for word, argument in (("user", "user"), ("password", "password"), ("dbname", "database")):
        if words.get(word):
            arguments[argument] = words[word]
    if "connect_timeout" in words:
        arguments["timeout"] = _timeout(words["connect_timeout"])
    if words.get("sslrootcert") == "system":
        arguments["ssl"] = _system_roots(words)
    elif passed := {word: words[word] for word in PASSED_ON if words.get(word)}:
        arguments["dsn"] = f"postgresql://?{urlencode(passed)}"
    return arguments


def _refuse(reason: str) -> NoReturn:
    raise InvalidOption(f"{OPTION}: {reason}")


def _words(url: str) -> dict[str, str]:
    """The URL as libpq's keywords, decoded; a later one outranks an earlier one, so ``?host=`` the host before the path."""
    try:
        url.encode()
    except UnicodeEncodeError:
        _refuse("the URL is not UTF-8")
    scheme, _, rest = url.partition("://")
    if scheme not in ("postgres", "postgresql"):
        _refuse("the URL must begin with postgres:// or postgresql://")
    # libpq ends the credentials at the first @, unless a / comes before it; ? and # may stand in a password as they are.
    match = re.fullmatch(
        r"(?:(?P<user>[^:@/]*)(?::(?P<password>[^@/]*))?@)?(?P<hosts>[^/?]*)(?:/(?P<dbname>[^?]*))?(?:\?(?P<query>.*))?",
        rest,
        re.DOTALL,
    )
    if match is None or "@" in match["hosts"] + (match["dbname"] or ""):
        _refuse("in a user or password @ must be written %40 and / must be written %2F")
    words = {word: _decoded(match[word], word) for word in ("user", "password", "dbname") if match[word]}
    words |= _hosts(match["hosts"])
    for parameter in filter(None, (match["query"] or "").split("&")):
        name, equals, value = parameter.partition("=")
        if not equals or "=" in value:
            _refuse("each parameter after the ? must be name=value, with any other = written %3D")
        words |= _parameter(_decoded(name, "name of a parameter"), value, shown="@" not in (match["query"] or ""))
    return words


def _parameter(name: str, value: str, *, shown: bool) -> dict[str, str]:
    if name == "ssl" and value == "true":
        return {"sslmode": "require"}  # JDBC's spelling, which libpq takes too
    if name not in KNOWN:
        # With an @ further on this may be the tail of a password that was not encoded.
        _refuse(f"unknown or unsupported parameter {name[:40]!r}" if shown else "unknown or unsupported parameter")
    return {name: _decoded(value, name)}


def _decoded(text: str, what: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})|%00|\0", text):
        _refuse(f"the {what} has a % that is not followed by two hexadecimal digits of a character; % itself is written %25")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        _refuse(f"the {what} is not UTF-8 once its % are decoded")


def _hosts(text: str) -> dict[str, str]:
    """``host`` and ``port`` as comma lists of equal length, IPv6 addresses without their brackets."""
    hosts, ports = [], []
    for part in text.split(","):
        match = re.fullmatch(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[^:]*))?", part)
        if match is None:
            _refuse("a host must be name, name:port or [IPv6]:port")
        hosts.append(_decoded(match["ipv6"] or match["host"], "host"))
        ports.append(_decoded(match["port"] or "", "port"))
    return {word: ",".join(parts) for word, parts in (("host", hosts), ("port", ports)) if any(parts)}


def _check(words: Mapping[str, str]) -> None:
    for word, allowed in ALLOWED_VALUES.items():
        if words.get(word) and words[word] not in allowed:
            _refuse(f"{word} must be {' or '.join(allowed)}")
    encrypted = words.get("sslmode") != "disable"
    for word in FILES:
        path = words.get(word, "")
        # asyncpg reports a missing file without its name, and only when it connects.
        if encrypted and path and path != "system" and not os.access(path, os.R_OK):
            _refuse(f"{word}: cannot read the file {path!r}")
    if words.get("sslrootcert") == "system" and words.get("sslmode", "verify-full") != "verify-full":
        _refuse("sslrootcert=system needs sslmode=verify-full")


def _address(words: Mapping[str, str]) -> dict[str, Any]:
    """The arguments ``host`` and ``port``; what the URL leaves out is left out, for PGHOST, PGPORT and the usual sockets."""
    hosts = words["host"].split(",") if words.get("host") else []
    ports = [_port(text) for text in words["port"].split(",")] if words.get("port") else []
    if any(not host or host.startswith("@") or re.search(r"[\s@]", host) for host in hosts):
        _refuse("host must be a list of names, addresses and absolute socket directories")
    if len(ports) > 1 and len(ports) != len(hosts):
        _refuse(f"{len(ports)} ports for {len(hosts)} hosts")
    if not ports:
        return {"host": hosts} if hosts else {}
    return {"host": hosts, "port": ports * len(hosts) if len(ports) == 1 else ports} if hosts else {"port": ports[0]}


def _port(text: str) -> int:
    if not text:
        return DEFAULT_PORT
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65_535:  # noqa: PLR2004  (the largest there is)
        # The text is not shown: after an unencoded / it is the beginning of a password.
        _refuse("port must be a number from 1 to 65535; in a user or password / must be written %2F")
    return int(text)


def _timeout(text: str) -> int | None:
    """Seconds; None waits for ever, as libpq says it with 0 or less. asyncpg spends it on all hosts together."""
    if not re.fullmatch(r" *-?[0-9]{1,9} *", text):
        _refuse("connect_timeout must be a whole number of seconds")
    return int(text) if int(text) > 0 else None


def _session(words: Mapping[str, str]) -> dict[str, str]:
    name = words.get("application_name") or words.get("fallback_application_name")
    named = {"application_name": name, "options": words.get("options")}
    return {word: value for word, value in named.items() if value}


def _system_roots(words: Mapping[str, str]) -> ssl.SSLContext:
    """TLS that trusts the system's authorities; asyncpg would look for a file named ``system``."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["postgresql"])
    if words.get("sslcert"):
        try:
            context.load_cert_chain(words["sslcert"], words.get("sslkey"), lambda: words.get("sslpassword", ""))
        except (ssl.SSLError, OSError):
            _refuse("sslcert and sslkey are not a certificate and its key")
    return context
