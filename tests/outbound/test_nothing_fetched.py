"""Whom the service calls is said by its options alone: no address that anybody sends is ever asked for anything."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from collector.config.options import OPTIONS
from collector.config.shape import config_type
from collector.entrance import VERSION
from collector.ingest.csp import PATHS
from collector.routes import ROUTES
from collector.serve.openapi import document
from collector.wire.csp import LegacyReport, ReportingBody
from tests.inside import Inside

# Words that mean an address, in what an owner's body may say.
ADDRESS = re.compile(r"ur[il]|host|address|endpoint|webhook|callback|redirect|upstream|target|server", re.IGNORECASE)
BY_OWNERS = ("/api/v2/csp/", "/api/v2/projects", "/api/v2/users", "/api/v2/agents")


@asynccontextmanager
async def trap() -> AsyncIterator[tuple[int, list[Any]]]:
    """A port on this machine, and who has called it."""
    callers: list[Any] = []

    def called(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.append(writer.get_extra_info("peername"))
        writer.close()

    server = await asyncio.start_server(called, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], callers


def addresses(port: int) -> Iterator[str]:
    """The trap by every name that a check of the text might miss."""
    hosts = ("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "[::1]")
    mapped = ("[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "169.254.169.254", "user:word@127.0.0.1")
    for host in (*hosts, *mapped):
        yield f"http://{host}:{port}/"
    yield f"//127.0.0.1:{port}/"
    yield f"https://127.0.0.1:{port}/"


def fields(schema: Any, whole: Any) -> Iterator[str]:
    """The names of all fields that a JSON schema knows, at any depth."""
    if isinstance(schema, list):
        for each in schema:
            yield from fields(each, whole)
    elif isinstance(schema, dict):
        if reference := schema.get("$ref"):
            yield from fields(whole["components"]["schemas"][reference.rpartition("/")[2]], whole)
        yield from schema.get("properties", ())
        for each in schema.values():
            if isinstance(each, dict | list):
                yield from fields(each, whole)


def test_no_body_of_an_owner_names_an_address() -> None:
    """Nothing that is set by the API is an address to call: a webhook, a Coder server and a feed are options."""
    whole = document(ROUTES, VERSION, config_type())
    found = {
        f"{method} {path}: {name}"
        for path, item in whole["paths"].items()
        for method, operation in item.items()
        if path.startswith(BY_OWNERS) and path not in PATHS and "requestBody" in operation
        for name in fields(operation["requestBody"], whole)
        if ADDRESS.search(name)
    }
    called = {option.env for option in OPTIONS if "WEBHOOK_URL" in option.env or "FEED_URL" in option.env}

    assert found == set()
    assert called


async def send_everything(inside: Inside, address: str) -> None:
    """``address`` in every field of what is sent from outside, and in all that an owner can set."""
    same = {"Sec-Fetch-Site": "same-origin", "X-Coder-Bypass-Ratelimit": "true"} | inside.owner
    legacy = dict.fromkeys(LegacyReport.__struct_encode_fields__, address)
    body = dict.fromkeys((*ReportingBody.__struct_encode_fields__, "id", "message", "subresourceURL"), address)
    kinds = ("csp-violation", "network-error", "deprecation", "csp-hash", "integrity-violation")
    reports = [{"type": kind, "url": address, "user_agent": address, "body": body} for kind in kinds]
    headers = {"User-Agent": address, "Referer": address, "X-Forwarded-Host": address, "Forwarded": f"for={address}"}
    for sent in ({"csp-report": legacy}, reports):
        assert (await inside.post(inside.csp_path, json.dumps(sent), **headers))[0] == 200
    named = dict.fromkeys(("id", "name", "url", "host", "webhook", "external_url", "server_url", "callback_url"), address)
    for path in ("/api/v2/ingest/agent-stats", "/api/v2/ingest/workspaces", "/deployment", "/snapshot"):
        for rows in ([named], named | {"deployment_id": "7c1d9a52-4f0e-4a0b-9d53-5f1f0c6be001"}):
            async with inside.client.post(path, json=rows, headers=inside.feed) as response:
                assert response.status < 500
    await inside.post("/api/v2/projects", json.dumps({"name": "shop", "allowed_origins": [address]}), **same)
    await inside.post("/api/v2/csp/ignore-rules", json.dumps({"blocked": address, "note": address}), **same)
    for query in ("policy", "redirect", "url", "next", "base"):
        for path in ("/api/v2/csp/policy", "/api/v2/csp/header", "/"):
            async with inside.client.get(path, params={"project": "default", query: address}, headers=same) as response:
                assert response.status < 500


@pytest.mark.slow
async def test_no_address_that_arrives_is_called(inside: Inside) -> None:
    """Each spelling of one that is on this machine, wherever it can be put: through two snapshots nobody calls it."""
    async with trap() as (port, callers):
        for address in addresses(port):
            await send_everything(inside, address)
        await inside.roll_up()
        await inside.roll_up()
        assert (await inside.get("/api/v2/csp/violations?noise=include"))["count"] > 0
        assert callers == []
