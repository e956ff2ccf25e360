"""Intake by what it is brought in and where it is kept, beside a handler that reads the body and keeps nothing.

Reports come singly in the legacy format, and in arrays of 1, 10 and 50, over 64 and 256 connections: 200 different ones of 72
violations in turn, each acknowledged only once it is durable, with key check, budget, CORS headers and metrics on. They are
kept in SQLite (WAL, ``synchronous=FULL``), in PostgreSQL, or in a JetStream stream on one server that syncs before it
acknowledges, from which the same process stores them in SQLite. The collector and the bare handler have the first core, wrk
has the last; PostgreSQL and NATS take what they find. Rounds alternate, and ratios are taken within a round.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks.clocks import alternated
from benchmarks.figures import Figures, Plan, spread, table
from benchmarks.servers import Load, Server, bare, collector, load
from tests.nats import start_nats
from tests.postgres import start_postgres

CONNECTIONS = (64, 256)
LIMIT = "nothing"


class Way(NamedTuple):
    """How reports come."""

    words: str
    reports: int  # a request
    script: str
    argument: str = ""


WAYS = (
    Way("single", 1, "legacy.lua"),
    *(Way(f"arrays of {number}", number, "arrays.lua", str(number)) for number in (1, 10, 50)),
)


class Measured(NamedTuple):
    """The rounds of one way and number of connections, kept in one place."""

    way: Way
    connections: int
    kept_in: str
    rounds: list[Load]
    limit: list[Load]

    @property
    def ratios(self) -> list[float]:
        """Requests a second over those of the bare handler, by round."""
        return [ours.per_second / bare.per_second for ours, bare in zip(self.rounds, self.limit, strict=True)]

    @property
    def cpu_ratios(self) -> list[float]:
        """Processor time a request of the bare handler over ours, by round: what a core would carry that nobody else uses."""
        return [bare.cpu_us / ours.cpu_us for ours, bare in zip(self.rounds, self.limit, strict=True)]


def measure(plan: Plan) -> Figures:
    """Every way over each number of connections into each place."""
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: make test-deps installs it")
    with tempfile.TemporaryDirectory() as directory, _servers(Path(directory), plan) as servers:
        measured = [
            each for n in CONNECTIONS for way in (WAYS[::3] if plan.small else WAYS) for each in _of_way(servers, way, n, plan)
        ]
    columns = ("reports", "connections", "kept in", "reports/s", "CPU a report", "p50", "p99", "to the bare handler", "by CPU")
    return Figures(table((*columns, "failed"), map(_row, measured)), [_kept(each) for each in measured])


@contextmanager
def _servers(directory: Path, plan: Plan) -> Iterator[dict[str, Server]]:
    """By where they keep what comes; the bare handler first."""
    with ExitStack() as stack:
        for name in ("sqlite", "postgresql", "postgres", "stream", "nats"):
            (directory / name).mkdir()
        servers = {LIMIT: stack.enter_context(bare()), "SQLite": stack.enter_context(collector(directory / "sqlite"))}
        if not plan.small:
            postgres = stack.enter_context(start_postgres(directory / "postgres", "fsync=on"))
            (nats,) = stack.enter_context(start_nats(directory / "nats"))
            url, stream = postgres.fresh_url(), directory / "stream"
            servers["PostgreSQL"] = stack.enter_context(collector(directory / "postgresql", CODER_PG_CONNECTION_URL=url))
            servers["JetStream"] = stack.enter_context(collector(stream, COLLECTOR_NATS_URL=nats.url))
        yield servers


def _of_way(servers: dict[str, Server], way: Way, connections: int, plan: Plan) -> list[Measured]:
    def loaded(server: Server, seconds: int) -> Load:
        return load(server, connections, seconds, way.script, *([way.argument] if way.argument else []))

    for server in servers.values():
        loaded(server, 2)  # until it is warm
    works = {name: partial(loaded, server, plan.seconds) for name, server in servers.items()}
    found = alternated(works, plan.rounds)
    measured = [Measured(way, connections, name, rounds, found[LIMIT]) for name, rounds in found.items()]
    for each in measured:
        print(" ".join(map(str, _row(each))), file=sys.stderr, flush=True)
    return measured


def _row(each: Measured) -> tuple[str, ...]:
    middle = Load(*(statistics.median(values) for values in zip(*each.rounds, strict=True)))
    limit = each.kept_in == LIMIT
    return (
        each.way.words,
        str(each.connections),
        each.kept_in,
        f"{middle.per_second * each.way.reports:,.0f}",
        f"{middle.cpu_us / each.way.reports:.1f} µs",
        f"{middle.p50_ms:.1f} ms",
        f"{middle.p99_ms:.1f} ms",
        "1" if limit else spread(each.ratios),
        "1" if limit else spread(each.cpu_ratios),
        str(sum(one.failed for one in each.rounds)),
    )


def _kept(each: Measured) -> dict[str, object]:
    of = {"way": each.way.words, "connections": each.connections, "kept_in": each.kept_in}
    ratios = {"ratio": statistics.median(each.ratios), "cpu_ratio": statistics.median(each.cpu_ratios)}
    return {**of, **ratios, "rounds": [one._asdict() for one in each.rounds]}
