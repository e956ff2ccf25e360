"""What waits for the writer, how much of a batch it is, and why it was not taken."""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import Sequence

import msgspec
from prometheus_client import Counter

from collector.wire.errors import Overloaded
from collector.wire.inventory import TelemetryIntake
from collector.wire.records import CspIntake, Record, Refusal

BATCH_WEIGHT = 5_000  # reports and rows of one transaction: at 20,000 rows/s a commit stays under a quarter of a second
ROWS_AS_ONE = 20
REFUSED = Counter(
    "collector_refused_reports",
    "Reports and rows answered with 503, none of them promised to be stored: `queue_full`, `store_fails`, `store_full`,"
    " `stream_fails`, `stream_full`, `too_large` or `stopping`.",
    ["reason"],
)


class Refused(enum.Enum):
    """Why nothing of a submission is stored; what the caller is told, and in more detail."""

    QUEUE_FULL = "Too much is waiting to be stored.", "Every place in the queue is taken."
    STORE_FAILS = "The report could not be stored.", "The store does not answer."
    STORE_FULL = "The store is full.", "It is over COLLECTOR_MAX_STORE_BYTES."
    STREAM_FAILS = "The report could not be stored.", "NATS JetStream does not acknowledge it."
    TOO_LARGE = "The report could not be stored.", "It is larger than the max_payload of NATS."
    STREAM_FULL = "Too much is waiting to be stored.", "The stream is at its COLLECTOR_NATS_MAX_BYTES."
    STOPPING = "The service is stopping.", ""

    @property
    def reason(self) -> str:
        """Its name in the metric."""
        return self.name.lower()

    def counted(self, weight: int, detail: str = "") -> Overloaded:
        """The error to raise, with more ``detail`` when there is any, counted for all of ``weight`` reports and rows."""
        REFUSED.labels(self.reason).inc(weight)
        message, usual = self.value
        return Overloaded(message, detail or usual)


for _refused in Refused:
    REFUSED.labels(_refused.reason)  # a counter that is there from the start has a rate from its first refusal on


class Submission(msgspec.Struct, eq=False):
    """Records that stand or fall together with their caller's answer."""

    records: Sequence[Record]
    weight: int  # reports and rows
    deadline: float
    done: asyncio.Future[tuple[Refusal, ...]]
    message: int | None = None  # its number in the stream it came through


def taken(queue: deque[Submission]) -> list[Submission]:
    """The first of ``queue``, taken out of it: as many as one transaction takes, and one at least."""
    batch: list[Submission] = []
    weight = 0
    while queue and (not batch or weight + queue[0].weight <= BATCH_WEIGHT):
        submission = queue.popleft()
        weight += submission.weight
        batch.append(submission)
    return batch


def weight_of(records: Sequence[Record]) -> int:
    """How many reports and rows ``records`` are; a POST that brought none still takes one."""
    weight = 0
    for record in records:
        weight += len(record.reports) or 1 if type(record) is CspIntake else _weight(record)
    return weight


def _weight(record: Record) -> int:
    """Most rows of telemetry are as they were and are only compared: counted whole, one server's would fill the queue."""
    return 1 + record.rows // ROWS_AS_ONE if type(record) is TelemetryIntake else 1
