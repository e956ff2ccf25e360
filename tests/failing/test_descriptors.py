"""More connections than the process may have files open."""

from __future__ import annotations

import asyncio
import resource
import socket
from contextlib import ExitStack, closing
from pathlib import Path

import aiohttp
import pytest

from tests.failing.sent import violation
from tests.service import Service, run_service
from tests.test_service import address

SPARE, IDLE, REPORTS = 8, 60, 10


def leave(service: Service, spare: int) -> None:
    """Let the process open that many more files and sockets than it has now."""
    pid = service.process.pid
    limit = len(list(Path(f"/proc/{pid}/fd").iterdir())) + spare
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))


async def posted(client: aiohttp.ClientSession, service: Service) -> int:
    """The status of a report, 0 where the connection was not taken."""
    try:
        async with client.post(f"/csp/reports?key={service.browser_key}", data=violation()) as response:
            return response.status
    except aiohttp.ClientError:
        return 0


@pytest.mark.slow
async def test_out_of_descriptors(tmp_path: Path) -> None:
    """Who is connected is served while nobody else can be, and everybody is again once there is room; nothing is lost."""
    with run_service(tmp_path) as service:
        async with aiohttp.ClientSession(service.url) as client:
            acknowledged = [await posted(client, service)]
            leave(service, SPARE)
            with ExitStack() as idle:
                for _ in range(IDLE):
                    idle.enter_context(closing(socket.create_connection(address(service), 10)))
                acknowledged += [await posted(client, service) for _ in range(REPORTS)]
            async with asyncio.timeout(60), aiohttp.ClientSession(service.url) as other:
                while (status := await posted(other, service)) != 200:
                    assert status in (0, 503)
            assert acknowledged == [200] * (REPORTS + 1)
        assert service.get("/api/v2/csp/violations")["results"][0]["count"] == REPORTS + 2
        assert service.process.poll() is None
