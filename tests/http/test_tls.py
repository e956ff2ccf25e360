"""HTTPS on the real listener: who is shown which certificate, and who is refused."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from collector.http.ciphers import SAFE, WEAK
from collector.http.tls import Certificates, TlsOptions
from collector.jobs import CERTIFICATES
from collector.routes import ROUTES
from collector.wire.errors import InvalidOption
from tests.certificates import Authority, Pair
from tests.inside import Inside, running
from tests.page import PAGE, SET, answer_of, misshapen
from tests.postgres import free_port
from tests.requirements import program
from tests.serve.state import ready
from tests.test_journey import REPORT

OK = b"HTTP/1.1 200 OK\r\n"
GCM = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Whom the clients of these tests trust."""
    return Authority(tmp_path)


@dataclass
class Secured:
    """A collector that serves HTTPS too."""

    inside: Inside
    port: int
    authority: Authority

    def client(self, **limits: ssl.TLSVersion) -> ssl.SSLContext:
        """What a client of ours speaks: what Python does by default, within ``limits``."""
        context = ssl.create_default_context(cafile=str(self.authority.file))
        for name, version in limits.items():
            setattr(context, name, version)
        return context

    async def shown(self, name: str) -> str:
        """The common name of the certificate that a client is shown which asks for ``name``, an address for no name."""
        context = self.client()
        context.check_hostname = False
        _, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname=name)
        (((_, common_name),),) = writer.get_extra_info("peercert")["subject"]
        writer.close()
        await writer.wait_closed()
        return str(common_name)

    async def said(self, context: ssl.SSLContext) -> tuple[bytes, str]:
        """The first line that a client hears, nothing when it is refused late, and the cipher suite that was agreed upon."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        line = await reader.readline()
        agreed = writer.get_extra_info("cipher")[0]
        writer.close()
        await writer.wait_closed()
        return line, agreed


@asynccontextmanager
async def secured(authority: Authority, data: Path, *pairs: Pair, **options: str) -> AsyncIterator[Secured]:
    port = free_port()
    tls = {
        "CODER_TLS_ENABLE": "true",
        "CODER_TLS_ADDRESS": f"127.0.0.1:{port}",
        "CODER_TLS_CERT_FILE": ",".join(str(pair.certificate) for pair in pairs),
        "CODER_TLS_KEY_FILE": ",".join(str(pair.key) for pair in pairs),
    }
    async with running("sqlite", data, **tls, **options) as inside:
        yield Secured(inside, port, authority)


async def let_in(served: Secured, context: ssl.SSLContext) -> bool:
    """Whether a request is answered. A refusal ends the handshake, or over TLS 1.3 the first reading after it."""
    try:
        return (await served.said(context))[0] == OK
    except OSError:
        return False


async def test_every_route_answers_over_https_as_over_http(authority: Authority, tmp_path: Path) -> None:
    """Each route that can be read, and each that takes data, is the same behind TLS."""
    async with secured(authority, tmp_path, authority.pair("one")) as served:
        await ready(served.inside)
        client, context = served.inside.client, served.client()
        for route in ROUTES:
            statuses = []
            for base in ("", f"https://127.0.0.1:{served.port}"):
                request = client.request(
                    route.method, f"{base}{route.path}", headers=served.inside.owner, ssl=context, data="[]"
                )
                async with request as response:
                    statuses.append(response.status)
            assert statuses[0] == statuses[1], route
        url = f"https://127.0.0.1:{served.port}{served.inside.csp_path}"
        async with client.post(url, data=json.dumps(REPORT), ssl=context) as response:
            assert (response.status, await response.json()) == (200, "ok")


async def test_the_ten_operations_answer_over_https(authority: Authority, tmp_path: Path) -> None:
    """Each operation of the page is a 200 in its shape, for a client that trusts the authority."""
    async with secured(authority, tmp_path, authority.pair("one"), **SET) as served:
        await ready(served.inside)
        base = f"https://127.0.0.1:{served.port}"
        answers = {operation: await answer_of(served.inside, operation, base, served.client()) for operation in PAGE}

    assert misshapen(answers) == []


async def test_each_name_is_shown_its_certificate(authority: Authority, tmp_path: Path) -> None:
    """A name, a name below a wildcard, and for everything else the first certificate; names have no case."""
    pairs = [
        authority.pair("one", ["one.example", "localhost"]),
        authority.pair("two", ["two.example"]),
        authority.pair("stars", ["*.stars.example"]),
    ]
    async with secured(authority, tmp_path, *pairs) as served:
        asked = (
            "one.example",
            "TWO.example",
            "a.stars.example",
            "a.b.stars.example",
            "other.example",
            "localhost",
            "127.0.0.1",
        )
        assert [await served.shown(name) for name in asked] == ["one", "two", "stars", "one", "one", "one", "one"]


async def test_a_renewed_certificate_is_shown_without_a_restart(authority: Authority, tmp_path: Path) -> None:
    """Files that changed are read again; ones that cannot be used leave those before in place."""
    pair = authority.pair("one", ["one.example"])
    async with secured(authority, tmp_path, pair) as served:
        certificates = served.inside.app[CERTIFICATES]
        assert await served.shown("one.example") == "one"
        renewed = authority.pair("two", ["one.example"])
        for old, new in ((pair.certificate, renewed.certificate), (pair.key, renewed.key)):
            new.replace(old)  # as tools do that renew certificates
        await certificates.reload()
        assert await served.shown("one.example") == "two"

        pair.key.write_text("half written")
        with pytest.raises(InvalidOption):
            await certificates.reload()
        assert await served.shown("one.example") == "two"


async def test_a_client_below_the_minimum_is_refused(authority: Authority, tmp_path: Path) -> None:
    """With tls13 a client that speaks TLS 1.2 at most gets no answer; one that speaks 1.3 does."""
    async with secured(authority, tmp_path, authority.pair("one"), CODER_TLS_MIN_VERSION="tls13") as served:
        old = served.client(maximum_version=ssl.TLSVersion.TLSv1_2)
        assert not await let_in(served, old)
        assert (await served.said(served.client()))[0] == OK


@pytest.mark.parametrize(("minimum", "spoken"), [("tls12", False), ("tls11", True)])
async def test_an_old_version_is_spoken_when_it_is_asked_for(
    authority: Authority, tmp_path: Path, minimum: str, spoken: bool
) -> None:
    """A client of TLS 1.1 is let in by tls11, and not by the default."""
    async with secured(authority, tmp_path, authority.pair("one"), CODER_TLS_MIN_VERSION=minimum) as served:
        command = [program("openssl"), "s_client", "-connect", f"127.0.0.1:{served.port}", "-tls1_1"]
        process = await asyncio.create_subprocess_exec(
            *command, "-cipher", "DEFAULT:@SECLEVEL=0", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        said, _ = await process.communicate()
        assert (b"Protocol  : TLSv1.1" in said and b"Cipher is (NONE)" not in said) == spoken


async def test_only_the_listed_cipher_suites_are_spoken(authority: Authority, tmp_path: Path) -> None:
    """Over TLS 1.2 it is the listed suite, and a client without it is refused."""
    async with secured(authority, tmp_path, authority.pair("one"), CODER_TLS_CIPHERS=GCM) as served:
        able = served.client(maximum_version=ssl.TLSVersion.TLSv1_2)
        assert await served.said(able) == (OK, SAFE[GCM])
        unable = served.client(maximum_version=ssl.TLSVersion.TLSv1_2)
        unable.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        assert not await let_in(served, unable)


async def test_suites_of_tls_13_alone_leave_out_tls_12(authority: Authority, tmp_path: Path) -> None:
    """Where no older suite is listed no older version is spoken."""
    async with secured(authority, tmp_path, authority.pair("one"), CODER_TLS_CIPHERS="TLS_AES_128_GCM_SHA256") as served:
        assert not await let_in(served, served.client(maximum_version=ssl.TLSVersion.TLSv1_2))
        assert (await served.said(served.client()))[0] == OK


@pytest.mark.parametrize(
    ("choice", "nobody", "stranger", "known"),
    [
        ("none", True, True, True),
        ("request", True, True, True),
        ("verify-if-given", True, False, True),
        ("require-and-verify", False, False, True),
    ],
)
async def test_clients_show_a_certificate(
    authority: Authority, tmp_path: Path, choice: str, nobody: bool, stranger: bool, known: bool
) -> None:
    """Who may come in: a client without a certificate, one that somebody else signed, one that our authority signed."""
    trusted, foreign = Authority(tmp_path, "clients"), Authority(tmp_path, "others")
    options = {"CODER_TLS_CLIENT_AUTH": choice, "CODER_TLS_CLIENT_CA_FILE": str(trusted.file)}
    async with secured(authority, tmp_path, authority.pair("one"), **options) as served:
        for pair, expected in ((None, nobody), (foreign.pair("stranger"), stranger), (trusted.pair("known"), known)):
            context = served.client()
            if pair is not None:
                context.load_cert_chain(pair.certificate, pair.key)
            assert await let_in(served, context) == expected, pair


def options(pair: Pair, **changed: Any) -> TlsOptions:
    usual = TlsOptions(((str(pair.certificate), str(pair.key)),), "tls12", (), False, "none", "")
    return usual._replace(**changed)


def test_what_cannot_be_used_is_one_line(authority: Authority, tmp_path: Path) -> None:
    """A missing file, a key of another certificate, a file that is neither, a CA file that is none: each is named."""
    one, two = authority.pair("one"), authority.pair("two")
    text = tmp_path / "text"
    text.write_text("no certificate")
    for refused, words in (
        (options(Pair(tmp_path / "gone", one.key)), "CODER_TLS_CERT_FILE: cannot read .*gone.*: No such file or directory"),
        (options(Pair(one.certificate, two.key)), "CODER_TLS_CERT_FILE: cannot use .*one.pem' .*two.key': key values mismatch"),
        (options(Pair(text, one.key)), "CODER_TLS_CERT_FILE: cannot use .*text' with the key"),
        (options(one, client_auth="require-and-verify"), "CODER_TLS_CLIENT_AUTH: .* needs CODER_TLS_CLIENT_CA_FILE"),
        (options(one, client_auth="verify-if-given", client_ca_file=str(text)), "CODER_TLS_CLIENT_CA_FILE: cannot use"),
        (options(one, client_auth="require-any", client_ca_file=str(authority.file)), "require-any is not available here"),
        (options(one, ciphers=("TLS_NULL",)), "CODER_TLS_CIPHERS: 'TLS_NULL' is no cipher suite that is known here"),
        (options(one, ciphers=("TLS_RSA_WITH_AES_128_CBC_SHA",)), "is weak: it needs CODER_TLS_ALLOW_INSECURE_CIPHERS"),
        (options(one, ciphers=("TLS_RSA_WITH_RC4_128_SHA",), allow_insecure_ciphers=True), "OpenSSL has none of these"),
    ):
        with pytest.raises(InvalidOption, match=f"^CODER_TLS_.*{words.removeprefix('CODER_TLS_')}") as caught:
            Certificates(refused)
        assert caught.value.message.isprintable()


def test_a_key_with_a_passphrase_is_refused(tmp_path: Path, authority: Authority) -> None:
    """OpenSSL would ask for it on the terminal, and the start would wait for an answer."""
    pair = authority.pair("one")
    locked = tmp_path / "locked.key"
    command = [program("openssl"), "pkey", "-in", str(pair.key), "-aes256", "-passout", "pass:secret", "-out", str(locked)]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(InvalidOption, match=r"^CODER_TLS_CERT_FILE: cannot use"):
        Certificates(options(Pair(pair.certificate, locked)))


def test_every_safe_suite_is_one_that_openssl_has(authority: Authority) -> None:
    """The names on both sides fit: OpenSSL takes each safe suite, and no suite is both safe and weak."""
    Certificates(options(authority.pair("one"), ciphers=tuple(SAFE)))
    assert not set(SAFE) & set(WEAK)
