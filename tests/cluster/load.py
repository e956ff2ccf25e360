"""Browsers and agents that know what was acknowledged: reports of the first are counted, those of the second have ids."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field

import aiohttp

VIOLATIONS = 20
ROWS = 10
ANSWER_WITHIN_S = 12
AGAIN_S = 0.1


@dataclass
class Tally:
    """What the clients know so far."""

    csp_sent: int = 0
    csp_acknowledged: int = 0
    agents_acknowledged: set[int] = field(default_factory=set)  # by the bytes that each reports, which are its own
    refusals: Counter[str] = field(default_factory=Counter)  # requests that were not acknowledged, by why
    asked: int = 0
    longest_gap_s: float = 0.0  # in which nothing at all was acknowledged
    _last: float = field(default_factory=time.monotonic)

    @property
    def refused(self) -> int:
        """Requests that were not acknowledged."""
        return self.refusals.total()

    @property
    def summary(self) -> str:
        """For whoever reads the run."""
        return (
            f"{self.refused} of {self.asked} requests refused; nothing was acknowledged for {self.longest_gap_s:.1f} s at most"
        )

    def acknowledged(self) -> None:
        """Something was."""
        now = time.monotonic()
        self.longest_gap_s, self._last = max(self.longest_gap_s, now - self._last), now


class Load:
    """Clients of a collector at ``url``, who send on as soon as they have an answer; agent reports count from ``first``."""

    def __init__(self, url: str, browser_key: str, feed_key: str, *, first: int) -> None:
        self._url, self._browser_key, self._feed_key = url, browser_key, feed_key
        self._numbers = itertools.count(first)
        self.tally = Tally()
        self._ended = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, *, browsers: int, agents: int) -> None:
        """Let so many of each begin."""
        self._tasks = [asyncio.create_task(self._browse(number)) for number in range(browsers)]
        self._tasks += [asyncio.create_task(self._report()) for _ in range(agents)]

    async def end(self) -> None:
        """Let everybody have his last answer: what an agent has begun to report it sends until it is taken."""
        self._ended = True
        await asyncio.gather(*self._tasks)

    async def _post(self, client: aiohttp.ClientSession, path: str, body: bytes, headers: dict[str, str]) -> bool:
        self.tally.asked += 1
        try:
            async with client.post(self._url + path, data=body, headers=headers) as response:
                answer = await response.text()
            refusal = "" if response.status == 200 else f"{response.status} {answer}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            refusal = repr(error)
        if refusal:
            self.tally.refusals[refusal] += 1
        else:
            self.tally.acknowledged()
        return not refusal

    async def _browse(self, number: int) -> None:
        """A browser sends a report once, whatever comes of it."""
        async with _client() as client:
            while not self._ended:
                number += 1
                fields = {
                    "document-uri": "https://shop.example/cart",
                    "effective-directive": "script-src-elem",
                    "blocked-uri": f"https://cdn{number % VIOLATIONS}.example/lib.js",
                }
                self.tally.csp_sent += 1
                body = json.dumps({"csp-report": fields}).encode()
                if await self._post(client, f"/csp/reports?key={self._browser_key}", body, {}):
                    self.tally.csp_acknowledged += 1
                else:
                    await asyncio.sleep(AGAIN_S)  # as a visitor's next page would

    async def _report(self) -> None:
        """An agent sends the same reports under the same ids again until they are taken."""
        headers = {"Authorization": f"Bearer {self._feed_key}"}
        async with _client() as client:
            while not self._ended:
                rows = {next(self._numbers): str(uuid.uuid4()) for _ in range(ROWS)}
                body = json.dumps([_agent_report(number, id_) for number, id_ in rows.items()]).encode()
                while not await self._post(client, "/api/v2/ingest/agent-stats", body, headers):  # noqa: ASYNC110
                    await asyncio.sleep(AGAIN_S)  # as an agent does
                self.tally.agents_acknowledged |= rows.keys()


def _client() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN_S))


def _agent_report(number: int, id_: str) -> dict[str, object]:
    agent = str(uuid.UUID(int=number % 50))
    ids = {"id": id_, "agent_id": agent, "workspace_id": agent, "user_id": "u", "template_id": "t"}
    return {**ids, "stats": {"connection_count": 1, "connection_median_latency_ms": 5.0, "rx_bytes": number, "tx_bytes": 1}}
