"""A PostgreSQL URL means to us what it means to libpq, and what cannot be had is refused by name."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from collector.persist.engine import open_store
from collector.persist.libpq import asyncpg_connect_args
from collector.wire.errors import InvalidOption
from tests.examples import examples
from tests.postgres import PostgresServer


def _arguments(url: str) -> dict[str, Any]:
    arguments = asyncpg_connect_args(url, server_settings={})
    return {name: value for name, value in arguments.items() if value not in ({}, "postgresql://")}


@pytest.mark.parametrize(
    ("url", "arguments"),
    [
        ("postgres://", {}),
        ("postgresql:///db", {"database": "db"}),
        ("postgres://ada@h/db", {"user": "ada", "host": ["h"], "database": "db"}),
        ("postgres://ada:p%40%2F@h:5433", {"user": "ada", "password": "p@/", "host": ["h"], "port": [5433]}),
        ("postgres://ada:p#w?x+y%20z@h/db", {"user": "ada", "password": "p#w?x+y z", "host": ["h"], "database": "db"}),
        ("postgres://[::1]:5433/db", {"host": ["::1"], "port": [5433], "database": "db"}),
        ("postgres://%2Frun%2Fpostgresql/db", {"host": ["/run/postgresql"], "database": "db"}),
        ("postgres:///db?host=/run/postgresql&port=5433", {"host": ["/run/postgresql"], "port": [5433], "database": "db"}),
        ("postgres://localhost:5433/db?host=/tmp", {"host": ["/tmp"], "port": [5433], "database": "db"}),
        ("postgres://a:1,b,[::2]:3/db", {"host": ["a", "b", "::2"], "port": [1, 5432, 3], "database": "db"}),
        ("postgres://a,b?port=5433", {"host": ["a", "b"], "port": [5433, 5433]}),
        ("postgres://:5433/db", {"port": 5433, "database": "db"}),
        (
            "postgres://h/db?user=me@tenant&password=a%3Db&dbname=x",
            {"host": ["h"], "user": "me@tenant", "password": "a=b", "database": "x"},
        ),
        ("postgres://h?connect_timeout=10", {"host": ["h"], "timeout": 10}),
        ("postgres://h?connect_timeout=0", {"host": ["h"], "timeout": None}),
        ("postgres://h?ssl=true", {"host": ["h"], "dsn": "postgresql://?sslmode=require"}),
        (
            "postgres://h?sslmode=prefer&channel_binding=prefer&gssencmode=disable",
            {"host": ["h"], "dsn": "postgresql://?sslmode=prefer"},
        ),
        (
            "postgres://h?target_session_attrs=read-write",
            {"host": ["h"], "dsn": "postgresql://?target_session_attrs=read-write"},
        ),
    ],
)
def test_urls_are_read_as_libpq_reads_them(url: str, arguments: dict[str, Any]) -> None:
    """Credentials, hosts, sockets, lists and parameters arrive where asyncpg expects them; what is left out is left to PG*."""
    assert _arguments(url) == arguments


def test_the_urls_session_outranks_ours() -> None:
    """``application_name`` and ``options`` are sent to the server; the other settings stay."""
    arguments = asyncpg_connect_args(
        "postgres://h?application_name=mine&options=-c%20geqo%3Doff",
        server_settings={"application_name": "ours", "timezone": "UTC"},
    )
    assert arguments["server_settings"] == {"application_name": "mine", "timezone": "UTC", "options": "-c geqo=off"}


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])
def test_every_sslmode_is_passed_on(tmp_path: Path, mode: str) -> None:
    """With each mode, the files of certificates go along."""
    for name in ("root.crt", "my.crt", "my.key"):
        (tmp_path / name).touch()
    parameters = f"sslmode={mode}&sslrootcert={tmp_path}/root.crt&sslcert={tmp_path}/my.crt&sslkey={tmp_path}/my.key"
    dsn = _arguments(f"postgres://h?{parameters}")["dsn"]

    assert sorted(dsn.replace("%2F", "/").removeprefix("postgresql://?").split("&")) == sorted(parameters.split("&"))


def test_the_systems_authorities_can_be_trusted() -> None:
    """``sslrootcert=system`` verifies certificate and host name; a weaker sslmode beside it is refused, as by libpq."""
    context = _arguments("postgres://h?sslrootcert=system")["ssl"]

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    with pytest.raises(InvalidOption, match="sslrootcert=system needs sslmode=verify-full"):
        _arguments("postgres://h?sslrootcert=system&sslmode=require")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ada:s3cret@h/db", "must begin with postgres://"),
        ("mysql://ada:s3cret@h/db", "must begin with postgres://"),
        ("host=h password=s3cret", "must begin with postgres://"),
        ("postgres://ada:s3@cret@h/db", "%40"),
        ("postgres://ada:s3/cret@h/db", "%40"),
        ("postgres://ada:5/?s3cret=1@h/db", "unknown or unsupported parameter"),
        ("postgres://ada:s3cret/db", "port must be a number"),
        ("postgres://ada:s3cret@h:99999/db", "port must be a number"),
        ("postgres://ada:s3cret%zz@h/db", "the password has a %"),
        ("postgres://ada:s3cret%00@h/db", "the password has a %"),
        ("postgres://ada:s3cret%ff@h/db", "the password is not UTF-8"),
        ("postgres://ada:s3cret@h/db?statement_timeout=5", "unknown or unsupported parameter 'statement_timeout'"),
        ("postgres://ada:s3cret@h/db?keepalives=0", "'keepalives'"),
        (
            "postgres://ada:s3cret@h/db?sslmode=verify_full",
            "sslmode must be disable or allow or prefer or require or verify-ca",
        ),
        ("postgres://ada:s3cret@h/db?channel_binding=require", "channel_binding must be disable or prefer"),
        ("postgres://ada:s3cret@h/db?connect_timeout=10s", "connect_timeout must be a whole number of seconds"),
        ("postgres://ada:s3cret@h/db?sslrootcert=/nowhere/root.crt", "sslrootcert: cannot read the file '/nowhere/root.crt'"),
        ("postgres://ada:s3cret@h/db?sslmode", "name=value"),
        ("postgres://ada:s3cret@h/db?options=-c a=b", "name=value"),
        ("postgres://ada:s3cret@a,b/db?port=1,2,3", "3 ports for 2 hosts"),
        ("postgres://ada:s3cret@a,,b/db", "host must be"),
        ("postgres://ada:s3cret@::1/db", "a host must be"),
        ("postgres://ada:s3cret@h/db?host=@abstract", "host must be"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(url: str, said: str) -> None:
    """The message names the option and the parameter and holds nothing of the password, also when it was not encoded."""
    with pytest.raises(InvalidOption) as caught:
        _arguments(url)
    assert caught.value.message.startswith("CODER_PG_CONNECTION_URL: ")
    assert said in caught.value.message
    assert not any(part in caught.value.message for part in ("s3", "cret"))


@given(
    st.text("ab%2Fé:@/?#[],&= \n\0")
    | st.lists(
        st.sampled_from(
            ["a", ":", "@", "/", "?", "&", "=", ",", "[::1]", "%", "%2F", "5", "host", "port", "sslmode", "sslrootcert"]
        )
    ).map("".join)
)
@settings(max_examples=examples(200), deadline=None)
def test_no_url_breaks_the_translation(rest: str) -> None:
    """Whatever follows the scheme, there are arguments or a refusal in one printable line."""
    try:
        _arguments(f"postgres://{rest}")
    except InvalidOption as error:
        message = error.message
    else:
        message = ""
    assert message == "" or message.isprintable()


def _ask(connection: Connection) -> tuple[str, str, bool]:
    row = connection.exec_driver_sql(
        "SELECT current_database(), current_setting('application_name'), inet_server_addr() IS NULL"
    ).one()
    return row[0], row[1], row[2]


@pytest.mark.parametrize(
    ("url", "application_name", "through_socket"),
    [
        ("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable", "collector", False),
        ("postgresql://postgres:unused%23@localhost:{port}/postgres?sslmode=prefer&connect_timeout=5", "collector", False),
        ("postgres://postgres@127.0.0.1:1,127.0.0.1:{port}/postgres?application_name=mine", "mine", False),
        ("postgres:///postgres?host={directory}&port={port}&user=postgres&connect_timeout=0", "collector", True),
        ("postgres:///postgres?host=/nowhere,{directory}&port={port}&user=postgres&options=-c%20geqo%3Doff", "collector", True),
    ],
)
async def test_a_real_server_is_reached(
    postgres: PostgresServer, url: str, application_name: str, through_socket: bool
) -> None:
    """Through TCP and sockets, past a dead host, with the application's name."""
    store = open_store(url.format(port=postgres.port, directory=postgres.directory), pool_size=1)
    try:
        assert await store.read(_ask) == ("postgres", application_name, through_socket)
    finally:
        await store.close()


async def test_tls_is_asked_for_when_required(postgres: PostgresServer) -> None:
    """``sslmode=require`` reaches asyncpg: a server without TLS is refused, not spoken to in the clear."""
    store = open_store(f"postgres://postgres@127.0.0.1:{postgres.port}/postgres?sslmode=require", pool_size=1)
    try:
        with pytest.raises(ConnectionError, match="rejected SSL upgrade"):
            await store.read(_ask)
    finally:
        await store.close()
