"""One JetStream stream: connected to and set up in the background, for as long as that takes, and again after every outage.

It keeps what it is given on ``replicas`` servers for three days, and when it is full it refuses: the other choice, to drop the
oldest, would lose what was acknowledged. https://docs.nats.io/nats-concepts/jetstream/streams
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from collector.persist.applied import AppliedMessages

KEPT_S = 72 * 60 * 60
DUPLICATES_S = 10 * 60  # a message that is published again within this time is known by its id
ACK_WAIT_S = 30
MOST_UNACKNOWLEDGED = 2_000  # of all consumers together
CONSUMER = "collector"
RETRY_S = 0.5
FULL = 10077  # "maximum bytes exceeded"
FAILURES = (NatsError, APIError, OSError, TimeoutError)

log = structlog.get_logger(__name__)


class StreamFails(Exception):
    """Nobody acknowledged: the message may be stored or not."""


class StreamFull(Exception):
    """It is at its limit: the message is not stored."""


class TooLarge(Exception):
    """The server takes no message of this size."""


class StreamOptions(NamedTuple):
    """Where the servers are, and what the stream on them is like. ``credentials`` is the path of a .creds file, or ""."""

    servers: Sequence[str]
    name: str
    replicas: int
    max_bytes: int
    credentials: str = ""


class Position(NamedTuple):
    """How far the consumer is. Numbers are those of messages in the stream."""

    first: int  # message that is still there
    acknowledged: int  # up to here all of them are
    pending: int  # messages not acknowledged, delivered or not


class JetStream:
    """The stream of ``options``. It is there once :attr:`ready` is set, and :attr:`applied` knows it by its creation."""

    def __init__(self, options: StreamOptions) -> None:
        self._options = options
        self._client = Client()
        self._context: JetStreamContext | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = asyncio.Event()  # set when the client has given up
        self._told = ""  # the last error that was logged as a warning
        self.ready = asyncio.Event()
        self.applied: AppliedMessages | None = None

    @property
    def max_payload(self) -> int:
        """Bytes that the server takes as one message."""
        return self._client.max_payload

    @property
    def is_connected(self) -> bool:
        """Whether it is there and a server answers."""
        return self.ready.is_set() and self._client.is_connected

    def start(self) -> None:
        """Begin to connect. Needs a running event loop."""
        self._task = asyncio.create_task(self._keep_up(), name="jetstream")

    async def close(self) -> None:
        """Send what is unsent, and end the connection."""
        await end(self._task)
        with suppress(*FAILURES, RuntimeError):  # the latter of a connection that has broken meanwhile
            if self._client.is_connected:
                await self._client.flush(timeout=2)
            await self._client.close()

    async def _keep_up(self) -> None:
        """Connect and set the stream up, and again whenever the client has given up for good."""
        while True:
            try:
                await self._connect()
                await self._set_up()
                await self._closed.wait()
            except Exception as error:  # noqa: BLE001 — a server without a leader, a faulty file: whatever it was, it may pass
                await self._note(error)
            await asyncio.sleep(RETRY_S)

    async def _connect(self) -> None:
        if self._context is not None and not self._client.is_closed:
            return  # it connects again by itself
        self._client, self._context, self._closed = Client(), None, asyncio.Event()
        on_close = _setting(self._closed)
        await self._client.connect(
            list(self._options.servers),
            name="collector",
            max_reconnect_attempts=-1,  # also at the start: it goes on until a server answers
            reconnect_time_wait=RETRY_S,  # type: ignore[arg-type] # seconds, whole or not
            error_cb=self._note,
            disconnected_cb=_note_disconnect,
            closed_cb=on_close,
            user_credentials=self._options.credentials or None,
        )
        self._context = self._client.jetstream(timeout=2 * RETRY_S)

    async def _set_up(self) -> None:
        created = await self._made(self._given())
        self.applied = AppliedMessages(self._options.name, int(created.timestamp() * 1000))
        self._told = ""
        self.ready.set()
        log.info("the stream is there", stream=self._options.name, created_at=created.isoformat())

    async def _note(self, error: Exception) -> None:
        """One warning for an error that comes again and again."""
        words = f"{type(error).__name__}: {error}"  # with the path, which a repr leaves out
        (log.debug if words == self._told else log.warning)("NATS fails", error=words)
        self._told = words

    async def _made(self, context: JetStreamContext) -> datetime:
        name, wanted = self._options.name, self._config()
        try:
            await context.stream_info(name)
        except NotFoundError:
            found = await context.add_stream(wanted)
        else:
            found = await context.update_stream(wanted)
        if found.created is None:
            raise StreamFails("the server does not say when the stream was made")
        return found.created

    def _config(self) -> StreamConfig:
        return StreamConfig(
            name=self._options.name,
            subjects=[f"{self._options.name}.intake"],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW,
            max_age=KEPT_S,
            max_bytes=self._options.max_bytes,
            num_replicas=self._options.replicas,
            duplicate_window=DUPLICATES_S,
        )

    async def publish(self, content: bytes, *, id_: str, timeout: float) -> None:  # noqa: ASYNC109 — the server's, not ours
        """Return once the stream has stored ``content``; of two with one ``id_`` it stores one.

        Raises:
            StreamFull: it is not stored.
            TooLarge: neither, nor will it ever be.
            StreamFails: nobody knows; try again with the same ``id_``.
        """
        if self._context is None or not self.ready.is_set():
            raise StreamFails("not connected")
        try:
            headers = {"Nats-Msg-Id": id_}
            await self._context.publish(f"{self._options.name}.intake", content, timeout=timeout, headers=headers)
        except APIError as error:
            raise StreamFull(str(error)) if error.err_code == FULL else StreamFails(repr(error)) from error
        except MaxPayloadError as error:
            raise TooLarge(f"{len(content)} bytes") from error
        except FAILURES as error:
            raise StreamFails(repr(error)) from error

    async def consumer(self, begin: int) -> JetStreamContext.PullSubscription:
        """What delivers messages, shared by all collectors; one that is not there yet begins with message ``begin``."""
        context, name = self._given(), self._options.name
        try:
            await context.consumer_info(name, CONSUMER)
        except NotFoundError:
            wanted = ConsumerConfig(
                durable_name=CONSUMER,
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=begin,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=ACK_WAIT_S,
                max_ack_pending=MOST_UNACKNOWLEDGED,
            )
            await context.add_consumer(name, wanted)
        return await context.pull_subscribe_bind(CONSUMER, name)

    async def begin_anew(self) -> None:
        """Forget how far the consumer is; :meth:`consumer` says where the next one begins."""
        with suppress(NotFoundError):
            await self._given().delete_consumer(self._options.name, CONSUMER)

    async def position(self) -> Position:
        """How far the consumer is now."""
        context, name = self._given(), self._options.name
        stream = await context.stream_info(name)
        try:
            consumer = await context.consumer_info(name, CONSUMER)
        except NotFoundError:  # nothing was delivered yet
            return Position(stream.state.first_seq, 0, stream.state.messages)
        floor = consumer.ack_floor.stream_seq if consumer.ack_floor is not None else 0
        pending = (consumer.num_pending or 0) + (consumer.num_ack_pending or 0)
        return Position(stream.state.first_seq, floor, pending)

    async def received_at(self, number: int) -> float | None:
        """When message ``number`` came, in seconds since the epoch; None when it is gone."""
        with suppress(NotFoundError):
            found: Any = await self._given().get_msg(self._options.name, number)
            return None if found.time is None else float(found.time.timestamp())
        return None

    def _given(self) -> JetStreamContext:
        if self._context is None:
            raise StreamFails("not connected")
        return self._context


async def end(task: asyncio.Task[None] | None) -> None:
    """Cancel ``task`` until it has ended: up to Python 3.11 ``wait_for`` may swallow a cancellation."""
    while task is not None and not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=1)


def number_of(message: Msg) -> int:
    """Its number in the stream."""
    return int(message.metadata.sequence.stream)


def _setting(event: asyncio.Event) -> Callable[[], Awaitable[None]]:
    async def set_() -> None:
        event.set()

    return set_


async def _note_disconnect() -> None:
    log.warning("the connection to NATS is lost")
