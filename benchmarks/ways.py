"""``python -m benchmarks.ways``: intake by what it is brought in and where it is kept, beside a handler that keeps nothing.

Reports come singly, and in arrays of 10 and of 50. They are kept in SQLite, in PostgreSQL, or in a JetStream stream on one
server that syncs before it acknowledges, from which the same process stores them in SQLite. The collector and the bare handler
have the first core, wrk has the last; PostgreSQL and NATS take what they find. Rounds alternate. What counts is the processor
time of the collector a report: how many it could take on a core that nobody shares with it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.figures import keep, machine
from benchmarks.servers import HERE, Load, Server, bare, collector, load
from tests.nats import start_nats
from tests.postgres import start_postgres

RESULTS = HERE / "ways.json"
CONNECTIONS, ROUNDS, SECONDS, WARM_SECONDS = 64, 3, 3, 2


class Brought(NamedTuple):
    """How reports come."""

    words: str
    reports: int  # a request
    script: str
    argument: str = ""


WAYS = (
    Brought("single", 1, "legacy.lua"),
    Brought("arrays of 10", 10, "arrays.lua", "10"),
    Brought("arrays of 50", 50, "arrays.lua", "50"),
)


class Measured(NamedTuple):
    """The rounds of one server with one way."""

    server: str
    way: Brought
    rounds: list[Load]

    @property
    def reports_per_second(self) -> float:
        """Median."""
        return statistics.median(each.per_second for each in self.rounds) * self.way.reports

    @property
    def cpu_us(self) -> float:
        """Processor time a report in µs, median."""
        return statistics.median(each.cpu_us for each in self.rounds) / self.way.reports


def main() -> int:
    """Run and print; with --write keep the figures beside this file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ways", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--write", action="store_true", help="keep the figures in benchmarks/")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, _servers(Path(directory)) as servers:
        measured = [each for way in WAYS for each in _of_way(servers, way, args.rounds, args.seconds)]
    text = _table(measured)
    print(text)
    if args.write:
        _keep(measured, text)
    return 0


@contextmanager
def _servers(directory: Path) -> Iterator[list[Server]]:
    """The bare handler first."""
    with ExitStack() as stack:
        for name in ("sqlite", "postgresql", "postgres", "stream", "nats"):
            (directory / name).mkdir()
        postgres = stack.enter_context(start_postgres(directory / "postgres", "fsync=on"))
        (nats,) = stack.enter_context(start_nats(directory / "nats"))
        url = postgres.fresh_url()
        yield [
            stack.enter_context(bare()),
            stack.enter_context(collector(directory / "sqlite"))._replace(name="SQLite"),
            stack.enter_context(collector(directory / "postgresql", CODER_PG_CONNECTION_URL=url))._replace(name="PostgreSQL"),
            stack.enter_context(collector(directory / "stream", COLLECTOR_NATS_URL=nats.url))._replace(name="JetStream"),
        ]


def _of_way(servers: list[Server], way: Brought, rounds: int, seconds: int) -> list[Measured]:
    measured = [Measured(server.name, way, []) for server in servers]
    for server in servers:
        load(server, CONNECTIONS, WARM_SECONDS, way.script, way.argument)
    for number in range(rounds):
        for server, found in list(zip(servers, measured, strict=True))[:: 1 if number % 2 else -1]:
            found.rounds.append(load(server, CONNECTIONS, seconds, way.script, way.argument))
            print(f"{way.words}, {server.name}, round {number + 1}: {found.rounds[-1]}", file=sys.stderr)
    return measured


def _table(measured: list[Measured]) -> str:
    lines = [
        "| reports | kept in | reports/s | CPU a report | to the bare handler | by CPU | failed |",
        "|---|---|---|---|---|---|---|",
    ]
    limits = {each.way: each for each in measured if each.server == "bare handler"}
    for each in measured:
        limit = limits[each.way]
        ratio, by_cpu = each.reports_per_second / limit.reports_per_second, limit.cpu_us / each.cpu_us
        kept = "nothing" if each is limit else each.server
        failed = sum(round_.failed for round_ in each.rounds)
        lines.append(
            f"| {each.way.words} | {kept} | {each.reports_per_second:,.0f} | {each.cpu_us:.1f} µs"
            f" | {ratio:.2f} | {by_cpu:.2f} | {failed} |"
        )
    return "\n".join(lines)


def _keep(measured: list[Measured], text: str) -> None:
    rows = [{"server": m.server, "way": m.way.words, "rounds": [each._asdict() for each in m.rounds]} for m in measured]
    RESULTS.write_text(json.dumps({"machine": machine(), "measured": rows}, indent=2) + "\n")
    keep("ways", text)


if __name__ == "__main__":
    sys.exit(main())
