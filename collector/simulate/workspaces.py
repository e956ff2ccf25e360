"""Synthetic workspaces: each goes from build to build, and says so as Coder's database would."""

from __future__ import annotations

import enum
import random
import uuid as uuids
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from collector.simulate.curves import running_share

FIRST_BUILD_EPOCH = 1_577_836_800  # 2020-01-01 in seconds: see Workspace.build_number
TEMPLATES = ("docker", "kubernetes", "linux-vm", "gpu")
PEOPLE = (
    "amara",
    "bjorn",
    "chloe",
    "dmitri",
    "elif",
    "farid",
    "grace",
    "hiro",
    "ines",
    "jonas",
    "kemi",
    "lucia",
    "mads",
    "noor",
)


class Job(msgspec.Struct, frozen=True):
    """The provisioner job of a build; times in RFC 3339."""

    started_at: str | None
    canceled_at: str | None
    completed_at: str | None
    error: str | None


class Build(msgspec.Struct, frozen=True):
    """The newest build of a workspace."""

    build_number: int
    transition: str
    created_at: str
    job: Job


class WorkspaceRow(msgspec.Struct, frozen=True):
    """One row of a POST to the workspace feed."""

    id: str
    name: str
    owner_id: str
    template_id: str
    deleted: bool
    latest_build: Build | None


class Phase(enum.Enum):
    """Where a workspace is on its way."""

    NEW = enum.auto()  # made, but never built
    QUEUED = enum.auto()
    BUILDING = enum.auto()
    RUNNING = enum.auto()
    STOPPED = enum.auto()
    FAILED = enum.auto()
    CANCELED = enum.auto()  # the build was cancelled and ended cleanly
    DELETED = enum.auto()


BUCKETS: dict[Phase, str | None] = {
    Phase.NEW: "pending",
    Phase.QUEUED: "pending",
    Phase.BUILDING: "building",
    Phase.RUNNING: "running",
    Phase.STOPPED: "stopped",
    Phase.FAILED: "failed",
    Phase.CANCELED: None,
    Phase.DELETED: None,
}


class Dwell(NamedTuple):
    """How long a phase lasts, in seconds: at least ``least``, and on the average ``least + mean``."""

    least: float
    mean: float


DWELL = {
    Phase.NEW: Dwell(4, 10),
    Phase.QUEUED: Dwell(1, 2),
    Phase.BUILDING: Dwell(4, 5),
    Phase.RUNNING: Dwell(20, 900),
    Phase.STOPPED: Dwell(15, 700),
    Phase.FAILED: Dwell(10, 90),
    Phase.CANCELED: Dwell(10, 90),
}
ENDINGS = {  # how a build ends, with the chance of each
    "start": ((Phase.RUNNING, 0.93), (Phase.FAILED, 0.05), (Phase.CANCELED, 0.02)),
    "stop": ((Phase.STOPPED, 0.98), (Phase.FAILED, 0.02)),
}
SHOWCASE = (Phase.RUNNING, Phase.STOPPED, Phase.QUEUED, Phase.BUILDING, Phase.FAILED, Phase.NEW, Phase.CANCELED, Phase.DELETED)


class Workspace:
    """One workspace. ``advance`` moves it through time, ``row`` says where it is."""

    def __init__(self, number: int, rng: random.Random, now_ms: int) -> None:
        self.rng = rng
        self.id, self.owner_id = uuid(rng), uuid(rng)
        self.owner = f"{PEOPLE[number % len(PEOPLE)]}{number // len(PEOPLE) or ''}"
        template = rng.randrange(len(TEMPLATES))
        self.template, self.template_id = TEMPLATES[template], str(uuids.UUID(int=template + 1))
        self.name = f"{self.owner}-{self.template}"
        self.transition = "start"
        # A repeated simulation plays the same workspaces, and an older build never overwrites a newer one: numbers go on
        # from the second of the start, since no workspace is built as often as once a second.
        self.build_number = now_ms // 1000 - FIRST_BUILD_EPOCH
        self.created_at = self.started_at = self.ended_at = now_ms - rng.randrange(3_600_000)
        self.phase = self._first_phase(number, now_ms)
        self.until = now_ms + self._dwell_ms()
        if self.phase in {Phase.STOPPED, Phase.DELETED}:
            self.transition = "stop" if self.phase is Phase.STOPPED else "delete"

    @property
    def bucket(self) -> str | None:
        """The bucket of a snapshot that it counts in."""
        return BUCKETS[self.phase]

    def advance(self, now_ms: int) -> bool:
        """Do all that is due by now; true when something was."""
        before = self.phase, self.build_number
        while self.phase is not Phase.DELETED and self.until <= now_ms:
            self._step(self.until)
            self.until += self._dwell_ms()
        return (self.phase, self.build_number) != before

    def row(self) -> WorkspaceRow:
        """The workspace as the feed takes it."""
        deleted = self.phase is Phase.DELETED
        build = None if self.phase is Phase.NEW else self._build()
        return WorkspaceRow(self.id, self.name, self.owner_id, self.template_id, deleted, build)

    def _build(self) -> Build:
        started = self.phase is not Phase.QUEUED
        completed = rfc3339(self.ended_at) if started and self.phase is not Phase.BUILDING else None
        job = Job(
            started_at=rfc3339(self.started_at) if started else None,
            canceled_at=completed if self.phase is Phase.CANCELED else None,
            completed_at=completed,
            error="terraform apply: exit status 1" if self.phase is Phase.FAILED else None,
        )
        return Build(self.build_number, self.transition, rfc3339(self.created_at), job)

    def _step(self, at_ms: int) -> None:
        match self.phase:
            case Phase.QUEUED:
                self.phase, self.started_at = Phase.BUILDING, at_ms
            case Phase.BUILDING:
                phases, chances = zip(*ENDINGS[self.transition], strict=True)
                self.phase, self.ended_at = self.rng.choices(phases, chances)[0], at_ms
            case _:
                self.transition = "stop" if self.phase is Phase.RUNNING else "start"
                self.phase, self.created_at = Phase.QUEUED, at_ms
                self.build_number += 1

    def _first_phase(self, number: int, now_ms: int) -> Phase:
        if number < len(SHOWCASE):  # even a small fleet shows every state
            return SHOWCASE[number]
        running = running_share(now_ms)
        shares = {
            Phase.RUNNING: running,
            Phase.NEW: 0.01,
            Phase.QUEUED: 0.02,
            Phase.BUILDING: 0.03,
            Phase.FAILED: 0.05,
            Phase.CANCELED: 0.02,
            Phase.DELETED: 0.01,
            Phase.STOPPED: 0.86 - running,
        }
        return self.rng.choices(list(shares), list(shares.values()))[0]

    def _dwell_ms(self) -> int:
        dwell = DWELL.get(self.phase, Dwell(0, 0))
        return int((dwell.least + self.rng.expovariate(1) * dwell.mean) * 1000)


def uuid(rng: random.Random) -> str:
    """A random UUID from the given source."""
    return str(uuids.UUID(int=rng.getrandbits(128), version=4))


def rfc3339(at_ms: int) -> str:
    """A time in UTC with milliseconds, as ``2026-11-23T10:00:00.000Z``."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
