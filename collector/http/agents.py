"""Workspace agents by their token, which is an UUID, as Coder's are."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from collector.persist.agents import find_agent, token_hash
from collector.persist.engine import Store, storage_failed
from collector.wire.errors import Overloaded, Unauthorized
from collector.wire.identity import Agent

TRUST_S = 4.0  # and no longer: what a revoked agent sends is refused within 5 seconds
CACHED_AT_MOST = 10_000

NO_TOKEN = "An agent token is needed."  # noqa: S105 — words
BAD_FORMAT = "Workspace agent token is not in the format of an UUID."
UNKNOWN = "Workspace agent not authorized."

_TOKEN = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class _Trusted(NamedTuple):
    agent: Agent
    until: float


class Agents:
    """Agents that the store confirmed, remembered for as long as a revocation may take to be noticed."""

    def __init__(self, store: Store, *, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._trusted: OrderedDict[bytes, _Trusted] = OrderedDict()

    async def agent(self, token: str, before_lookup: Callable[[], None] | None = None) -> Agent:
        """The agent whose token it is.

        Raises:
            Unauthorized: there is no token, or none that is known.
            Overloaded: the store had to be asked and could not answer.
        """
        if not _TOKEN.fullmatch(token):
            raise Unauthorized(UNKNOWN, BAD_FORMAT if token else NO_TOKEN)
        presented = token_hash(token)
        trusted = self._trusted.get(presented)
        if trusted is not None and self._clock() < trusted.until:
            return trusted.agent
        if trusted is None and before_lookup is not None:
            before_lookup()
        asked_at = self._clock()
        found = await self._find(presented)
        if found is None:
            self._trusted.pop(presented, None)
            raise Unauthorized(UNKNOWN, "The token is of no agent, or was revoked.")
        self._trusted[presented] = _Trusted(found, asked_at + TRUST_S)
        if len(self._trusted) > CACHED_AT_MOST:
            self._trusted.popitem(last=False)
        return found

    async def _find(self, presented: bytes) -> Agent | None:
        try:
            return await self._store.read(partial(find_agent, hashed=presented))
        except Exception as error:
            if not storage_failed(error):
                raise
            raise Overloaded("The service cannot look up who is calling. Try again later.") from error
