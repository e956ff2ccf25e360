"""Who is sent to the access URL, on the real listeners."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.inside import Inside, running
from tests.postgres import free_port

SHOP = "https://collector.example"


async def sent(inside: Inside, path: str, host: str, method: str = "GET", **forwarded: str) -> tuple[int, str | None]:
    """The status of a request, and where its answer points; a proxy may have added what it knows: ``Proto``, ``Host``."""
    headers = {"Host": host} | {f"X-Forwarded-{name}": value for name, value in forwarded.items()}
    async with inside.client.request(method, path, headers=headers, allow_redirects=False) as response:
        return response.status, response.headers.get("Location")


async def test_pages_are_sent_to_the_access_url(tmp_path: Path) -> None:
    """Under another host whatever can be read is a 307 to the same path and query, under the right one it is itself."""
    async with running("sqlite", tmp_path, CODER_ACCESS_URL=SHOP, CODER_REDIRECT_TO_ACCESS_URL="true") as inside:
        assert await sent(inside, "/?range=7d", "other.example") == (307, f"{SHOP}/?range=7d")
        assert await sent(inside, f"{inside.url}//a//b", "other.example:80", "HEAD") == (307, f"{SHOP}/a/b")
        for host in ("collector.example", "Collector.example:443"):
            assert await sent(inside, "/", host) == (200, None)


async def test_a_redirect_is_not_sniffed(tmp_path: Path) -> None:
    """It has the header of every answer, though it is made before errors are handled."""
    async with (
        running("sqlite", tmp_path, CODER_ACCESS_URL=SHOP, CODER_REDIRECT_TO_ACCESS_URL="true") as inside,
        inside.client.get("/", headers={"Host": "other.example"}, allow_redirects=False) as response,
    ):
        assert (response.status, response.headers["X-Content-Type-Options"]) == (307, "nosniff")


async def test_probes_and_what_brings_data_are_not_sent_away(tmp_path: Path) -> None:
    """A probe asks this very instance, and a browser's report may not follow a redirect."""
    async with running("sqlite", tmp_path, CODER_ACCESS_URL=SHOP, CODER_REDIRECT_TO_ACCESS_URL="true") as inside:
        assert await sent(inside, "/healthz", "10.0.0.7:3000") == (200, None)
        assert (await sent(inside, inside.csp_path, "other.example", "POST"))[0] == 400  # an empty body
        assert (await sent(inside, "/api/v2/ingest/agent-stats", "other.example", "POST"))[0] == 401


@pytest.mark.parametrize("options", [{"CODER_ACCESS_URL": SHOP}, {"CODER_REDIRECT_TO_ACCESS_URL": "true"}])
async def test_without_both_options_every_host_is_served(tmp_path: Path, options: dict[str, str]) -> None:
    """An access URL alone sends nobody anywhere, and without one there is nowhere to send anybody."""
    async with running("sqlite", tmp_path, **options) as inside:
        assert await sent(inside, "/", "other.example") == (200, None)


BELIEVED = {"CODER_PROXY_TRUSTED_ORIGINS": "127.0.0.0/8", "CODER_PROXY_TRUSTED_HEADERS": "X-Forwarded-For"}
DISBELIEVED = {"CODER_PROXY_TRUSTED_ORIGINS": "10.0.0.0/8", "CODER_PROXY_TRUSTED_HEADERS": "X-Forwarded-For"}
STRICT = "max-age=63072000; includeSubDomains; preload"


@pytest.mark.parametrize(("proxies", "believed"), [(BELIEVED, True), (DISBELIEVED, False), ({}, False)])
async def test_a_proxy_says_where_a_page_was_asked_for(tmp_path: Path, proxies: dict[str, str], believed: bool) -> None:
    """Behind one that has a name of its own for this service, what a trusted one says counts, or it would go round for ever."""
    options = {"CODER_ACCESS_URL": SHOP, "CODER_REDIRECT_TO_ACCESS_URL": "true", **proxies}
    async with running("sqlite", tmp_path, **options) as inside:
        redirected = (307, f"{SHOP}/")
        served = (200, None) if believed else redirected
        assert await sent(inside, "/", "collector:3000", Host="collector.example", Proto="https") == served
        assert await sent(inside, "/", "collector:3000", Host="collector.example, inner", Proto="https, http") == served
        assert await sent(inside, "/", "collector:3000", Proto="https") == redirected
        misled = await sent(inside, "/", "collector.example", Host="other.example")
        assert misled == (redirected if believed else (200, None))


@pytest.mark.parametrize(("proxies", "believed"), [(BELIEVED, True), (DISBELIEVED, False), ({}, False)])
async def test_a_proxy_says_how_a_page_was_asked_for(tmp_path: Path, proxies: dict[str, str], believed: bool) -> None:
    """One that ends TLS passes everything on by plain HTTP: https is what it says it is, if it is trusted."""
    async with running("sqlite", tmp_path, **over_https(Authority(tmp_path)), **proxies) as inside:
        redirected = (307, f"{SHOP}/")
        assert await sent(inside, "/", "collector.example", Proto="https") == ((200, None) if believed else redirected)
        for other in ("http", "wss", ""):
            assert await sent(inside, "/", "collector.example", Proto=other) == redirected
        async with inside.client.get("/", headers={"X-Forwarded-Proto": "https"}) as response:
            assert response.headers.get("Strict-Transport-Security") == (STRICT if believed else None)


def over_https(authority: Authority) -> dict[str, str]:
    """The options of a service with both kinds of listeners."""
    pair = authority.pair("one")
    return {
        "CODER_TLS_ENABLE": "true",
        "CODER_TLS_ADDRESS": f"127.0.0.1:{free_port()}",
        "CODER_TLS_CERT_FILE": str(pair.certificate),
        "CODER_TLS_KEY_FILE": str(pair.key),
        "CODER_ACCESS_URL": SHOP,
        "CODER_STRICT_TRANSPORT_SECURITY": "63072000",
        "CODER_STRICT_TRANSPORT_SECURITY_OPTIONS": "includesubdomains,preload",
    }


@pytest.mark.parametrize(("choice", "redirected"), [("true", True), ("false", False)])
async def test_http_is_sent_to_https(tmp_path: Path, choice: str, redirected: bool) -> None:
    """With HTTPS on, plain HTTP goes to an access URL that is https, unless this machine or a private network is named."""
    authority = Authority(tmp_path)
    options = over_https(authority) | {"CODER_TLS_REDIRECT_HTTP_TO_HTTPS": choice}
    async with running("sqlite", tmp_path, **options) as inside:
        expected = (307, f"{SHOP}/") if redirected else (200, None)
        assert await sent(inside, "/", "collector.example") == expected
        for host in ("127.0.0.1:3000", "localhost:3000", "192.168.1.7", "[::1]:3000", "[fe80::1]"):
            assert await sent(inside, "/", host) == (200, None)

        context = ssl.create_default_context(cafile=str(authority.file))
        async with inside.client.get(f"https://{options['CODER_TLS_ADDRESS']}/", ssl=context) as response:
            assert response.status == 200
            assert response.headers["Strict-Transport-Security"] == STRICT
        async with inside.client.get("/") as response:
            assert "Strict-Transport-Security" not in response.headers


async def test_a_host_that_is_none_is_elsewhere(tmp_path: Path) -> None:
    """A proxy may pass on what somebody wrote there: it is no error of ours, and nobody is sent to it."""
    options = over_https(Authority(tmp_path)) | {"CODER_TLS_REDIRECT_HTTP_TO_HTTPS": "true"} | BELIEVED
    async with running("sqlite", tmp_path, **options) as inside:
        for host in ("[", "[x", "[x]", "a]b", "::::"):
            assert await sent(inside, "/", "127.0.0.1", Host=host) == (307, f"{SHOP}/")
