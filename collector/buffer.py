"""What stands between intake and the database: nothing, or a stream of NATS JetStream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from collector.config.settings import Settings
from collector.http.appkeys import IDENTITIES, NOW, SINK, STORE, WRITER
from collector.persist.consumer import Consumer
from collector.persist.jetstream import JetStream, StreamOptions
from collector.persist.publisher import Publisher


class Buffer:
    """The stream with both of its ends in this process: intake publishes, and what any collector published is stored."""

    def __init__(self, app: web.Application, settings: Settings) -> None:
        options = StreamOptions(
            servers=settings.nats_url,
            name=settings.nats_stream,
            replicas=settings.nats_replicas,
            max_bytes=settings.nats_max_bytes,
            credentials=settings.nats_credentials,
        )
        self.stream = JetStream(options)
        self.publisher = Publisher(
            self.stream, queue_limit=settings.queue_limit, submit_timeout=settings.submit_timeout.total_seconds()
        )
        self._consumer = Consumer(self.stream, app[WRITER], app[STORE], now=app[NOW], forget=app[IDENTITIES].forgotten)

    def start(self) -> None:
        """Connect and deliver, in the background."""
        self.stream.start()
        self._consumer.start()

    async def take_no_more(self) -> None:
        """Answer everybody who waits; deliver nothing more. Before the writer closes."""
        await self.publisher.close()
        await self._consumer.stop()

    async def end(self) -> None:
        """Acknowledge what is stored, and disconnect. After the writer has closed."""
        await self._consumer.finish()
        await self.stream.close()


BUFFER: web.AppKey[Buffer] = web.AppKey("buffer", Buffer)


def prepare(app: web.Application, settings: Settings) -> None:
    """Put what intake submits to where its handlers look for it."""
    if not settings.nats_url:
        app[SINK] = app[WRITER]
        return
    app[BUFFER] = buffer = Buffer(app, settings)
    app[SINK] = buffer.publisher


@asynccontextmanager
async def running(app: web.Application) -> AsyncIterator[None]:
    """The stream, if there is one; at the end it is before the writer that it takes nothing more, and after it that it ends."""
    if BUFFER in app:
        app[BUFFER].start()
    yield
    if BUFFER in app:
        await app[BUFFER].take_no_more()
    await app[WRITER].close()
    if BUFFER in app:
        await app[BUFFER].end()
