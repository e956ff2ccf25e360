"""Rolling upgrade under load: ``python -m tests.cluster.upgrade --from REF [--stream] [--workers N]``.

Collectors of the version at a git ref (the newest tag, or this very code where there is none) run behind a balancer that knows
nothing of them but who takes a connection. One after the other is asked to end and is started again as the version in this
checkout, while browsers and agents send on. No request may fail, and everything is to be stored once.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from tests.cluster.load import Tally
from tests.cluster.world import Stored, World, everything, loaded
from tests.service import ROOT, Service

PHASE_S = 4.0  # of load from one restart to the next


class Upgraded(NamedTuple):
    """What an upgrade came to."""

    tally: Tally
    stored: Stored
    migrations: tuple[str, str]  # before and after
    complaints: tuple[str, ...]  # lines of the collectors' logs that are warnings or errors

    @property
    def faults(self) -> list[str]:
        """What should not have been, in words."""
        found = [f"{count} requests failed: {reason}" for reason, count in self.tally.refusals.items()]
        if self.stored.reports != self.tally.csp_sent:
            found.append(f"{self.tally.csp_sent} CSP reports were sent, {self.stored.reports} are counted")
        if self.stored.agents != dict.fromkeys(self.tally.agents_acknowledged, 1):
            reported, rows = len(self.tally.agents_acknowledged), self.stored.agents.total()
            found.append(f"{reported} agent reports were acknowledged, {rows} are stored, {len(self.stored.agents)} different")
        return found

    @property
    def summary(self) -> str:
        """For whoever reads the run."""
        return (
            f"migration {self.migrations[0]} to {self.migrations[1]}; {self.tally.csp_sent} CSP reports sent,"
            f" {self.stored.reports} counted; {len(self.tally.agents_acknowledged)} agent reports acknowledged,"
            f" {self.stored.agents.total()} stored;\n{self.tally.summary}"
        )


async def upgrade(world: World, to: Path = ROOT, *, phase_s: float = PHASE_S) -> Upgraded:
    """Let each collector of ``world`` in turn end and start again as the code at ``to``, under load."""
    before = migration(world)
    async with loaded(world.services, first=1) as tally:
        await asyncio.sleep(phase_s)  # of load
        for service in world.services:
            await asyncio.to_thread(replace, service, to)
            await asyncio.sleep(phase_s)  # of load
    await world.until_drained()
    return Upgraded(tally, await world.stored(), (before, migration(world)), tuple(complaints(world)))


def replace(service: Service, to: Path) -> None:
    """End it as a supervisor does, and start the code at ``to`` in its place."""
    service.stop()
    service.root = to
    service.start()


def migration(world: World) -> str:
    """Which one the database is at."""
    name = world.database_url.rpartition("/")[2].partition("?")[0]
    return world.postgres.psql(name, "SELECT version_num FROM collector.alembic_version").strip()


def complaints(world: World) -> Iterator[str]:
    """What the collectors logged that they should not have to."""
    for service in world.services:
        yield from (line for line in service.log.splitlines() if "[warning" in line or "[error" in line)


def newest_tag() -> str | None:
    """The newest one that this checkout comes after."""
    found = subprocess.run(["git", "describe", "--tags", "--abbrev=0"], cwd=ROOT, check=False, capture_output=True, text=True)
    return found.stdout.strip() or None


@contextmanager
def code_at(ref: str | None) -> Iterator[Path]:
    """A directory with the code at ``ref``, or this checkout."""
    if ref is None:
        yield ROOT
        return
    archive = subprocess.run(["git", "archive", ref, "collector", "migrations"], cwd=ROOT, check=True, capture_output=True)
    with tempfile.TemporaryDirectory() as name, tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
        tar.extractall(name, filter="data")
        yield Path(name)


def main() -> int:
    """Upgrade once, and say what it came to; 0 when nothing is at fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.upgrade", description=__doc__.partition(":")[0])
    parser.add_argument("--from", dest="ref", metavar="REF", default=newest_tag(), help="the version that runs before")
    parser.add_argument("--stream", action="store_true", help="with one server of NATS before the database")
    parser.add_argument("--workers", default="1", help="processes of each collector that take intake")
    args = parser.parse_args()
    servers, options = int(args.stream), {"COLLECTOR_WORKERS": args.workers}
    with (
        code_at(args.ref) as root,
        tempfile.TemporaryDirectory() as name,
        everything(Path(name), servers=servers, root=root, **options) as world,
    ):
        done = asyncio.run(upgrade(world))
    sys.stdout.write(f"from {args.ref or 'the same code'}: {done.summary}\n")
    sys.stdout.writelines(f"LOGGED: {line}\n" for line in done.complaints)
    sys.stdout.writelines(f"FAULT: {fault}\n" for fault in done.faults)
    return bool(done.faults)


if __name__ == "__main__":
    sys.exit(main())
