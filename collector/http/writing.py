"""How handlers write what is no record of an intake: through the service's writer, and with a word when the store fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web

from collector.http.appkeys import WRITER
from collector.persist.engine import storage_failed
from collector.wire.errors import Overloaded

T = TypeVar("T")


async def written(request: web.Request, work: Callable[[Any], T]) -> T:
    """Run ``work`` in a transaction of its own and return what it returned, once it is committed.

    Raises:
        Overloaded: the store fails, or the service is stopping.
    """
    try:
        return await request.app[WRITER].write(work)
    except Exception as error:
        if not storage_failed(error):
            raise
        raise Overloaded("Nothing can be stored at the moment. Try again later.") from error
