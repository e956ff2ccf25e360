"""A real store that can be made to fail or to hang, and to work again, while a collector runs on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from collector.persist.engine import Store

T = TypeVar("T")


class StallingStore:
    """``store``, which fails every transaction and read as long as ``down`` is set. Reads wait as long as ``works`` is not."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.dialect = store.dialect
        self.down = False
        self.works = asyncio.Event()
        self.works.set()

    async def transact(self, work: Callable[[Connection], T]) -> T:
        self._fail()
        return await self._store.transact(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        self._fail()
        await self.works.wait()
        return await self._store.read(work)

    async def size_bytes(self) -> int:
        return await self._store.size_bytes()

    async def close(self) -> None:
        await self._store.close()

    def _fail(self) -> None:
        if self.down:
            raise OperationalError("the database is away", None, Exception("the database is away"))
