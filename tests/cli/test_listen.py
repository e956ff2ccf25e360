"""Where the service says that it is."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from collector.app import create_app
from collector.cli.listen import Addresses, listening
from collector.cli.serve import announcement
from collector.config.loading import load
from collector.config.settings import Settings
from collector.normalize.headers import report_headers
from collector.persist.meta import FirstSecrets
from collector.wire.errors import InvalidOption

ELSEWHERE = "set CODER_ACCESS_URL for browsers elsewhere"
FIRST = FirstSecrets(token="", browser_key="b" * 32, feed_key="f" * 32)


async def opened(data: Path, **options: str) -> tuple[Settings, Addresses]:
    """The settings and addresses of a service that was there for a moment."""
    loaded = load({}, {"COLLECTOR_DATA_DIR": str(data), **options})
    async with listening(await create_app(loaded), loaded.settings) as addresses:
        return loaded.settings, addresses


@pytest.mark.parametrize(
    ("host", "shown", "everywhere"),
    [("127.0.0.1", "127.0.0.1", False), ("0.0.0.0", "127.0.0.1", True), ("", "127.0.0.1", True), ("[::1]", "[::1]", False)],
)
async def test_an_address_that_can_be_opened(tmp_path: Path, host: str, shown: str, everywhere: bool) -> None:
    """Of a service that listens everywhere the loopback address is shown, with the word how others reach it."""
    settings, addresses = await opened(tmp_path, CODER_HTTP_ADDRESS=f"{host}:0", CODER_PROMETHEUS_ADDRESS=f"{host}:0")
    said = announcement(settings, addresses, None)

    for url in (addresses.people, addresses.own, addresses.metrics):
        address, _, port = url.rpartition(":")
        assert address == f"http://{shown}"
        assert int(port) > 0  # the one that the system chose
    assert f"  Open      {addresses.people}/" in said.splitlines()
    assert f"  Metrics   {addresses.metrics}/metrics" in said.splitlines()
    assert (ELSEWHERE in said) == everywhere


async def test_an_access_url_is_for_people_alone(tmp_path: Path) -> None:
    """What is to be opened and pasted is CODER_ACCESS_URL; what runs beside the service keeps to its listener."""
    options = {"CODER_ACCESS_URL": "https://csp.example.com/", "CODER_HTTP_ADDRESS": "0.0.0.0:0"}
    settings, addresses = await opened(tmp_path, CODER_PROMETHEUS_ENABLE="false", **options)
    said = announcement(settings, addresses, FIRST)

    assert addresses.people == "https://csp.example.com"
    assert addresses.own.startswith("http://127.0.0.1:")
    assert addresses.metrics == ""
    assert ELSEWHERE not in said
    for header in report_headers("https://csp.example.com", FIRST.browser_key):
        assert f"  {header}" in said.splitlines()


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("web", {}, "'web' is inherited. Expected as FileDescriptorName: http, https, prometheus"),
        ("https", {}, "'https' is inherited, but https is not served"),
        ("prometheus", {"CODER_PROMETHEUS_ENABLE": "false"}, "'prometheus' is inherited, but prometheus is not served"),
    ],
)
async def test_a_socket_that_nobody_would_serve(tmp_path: Path, name: str, options: dict[str, str], said: str) -> None:
    """Clients of an inherited socket that nothing accepts from would wait for ever, so the start fails and says why."""
    loaded = load({}, {"COLLECTOR_DATA_DIR": str(tmp_path), "CODER_HTTP_ADDRESS": "127.0.0.1:0", **options})
    with socket.create_server(("127.0.0.1", 0)) as handed, pytest.raises(InvalidOption, match=said):
        async with listening(await create_app(loaded), loaded.settings, {name: [handed]}):
            pass
