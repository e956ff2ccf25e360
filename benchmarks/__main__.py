"""``make bench``: durable single reports a second, as a ratio to a bare aiohttp handler, in one run on one pinned core.

Both servers are pinned to the first core and loaded in turn by wrk on the last, several rounds each, so that whatever else
the machine does hits both. The ratio is the median over the rounds of (collector / bare handler) within a round. So is the
one by processor time, which tells what a core would carry were it not shared with others.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.figures import keep, machine
from benchmarks.servers import HERE, Load, Server, bare, collector, load

RESULTS = HERE / "results.json"
ROUNDS, SECONDS, WARM_SECONDS = 5, 5, 2


class Comparison(NamedTuple):
    """The rounds of one number of connections."""

    connections: int
    bare: list[Load]
    collector: list[Load]

    @property
    def ratios(self) -> list[float]:
        """Requests a second of the collector over those of the bare handler, by round."""
        return [ours.per_second / limit.per_second for ours, limit in zip(self.collector, self.bare, strict=True)]

    @property
    def cpu_ratios(self) -> list[float]:
        """Processor time a request of the bare handler over that of the collector, by round."""
        return [limit.cpu_us / ours.cpu_us for ours, limit in zip(self.collector, self.bare, strict=True)]


def main() -> int:
    """Run, print, and with --write keep the figures beside this file."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--write", action="store_true", help="keep the figures in benchmarks/")
    args = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: make test-deps installs it")
    with tempfile.TemporaryDirectory() as directory, bare() as limit, collector(Path(directory)) as ours:
        results = [_compared(limit, ours, n, args.rounds, args.seconds) for n in (64, 256)]
    text = _table(results)
    print(text)
    if args.write:
        _keep(results, text)
    return 0


def _compared(limit: Server, ours: Server, connections: int, rounds: int, seconds: int) -> Comparison:
    comparison = Comparison(connections, [], [])
    for server in (limit, ours):
        load(server, connections, WARM_SECONDS)
    for number in range(rounds):
        # The order turns with every round: neither is always the one that finds the machine rested.
        for server in (limit, ours) if number % 2 else (ours, limit):
            (comparison.bare if server is limit else comparison.collector).append(load(server, connections, seconds))
        ratios = f"ratio {comparison.ratios[-1]:.3f}, by processor time {comparison.cpu_ratios[-1]:.3f}"
        print(f"{connections} connections, round {number + 1}: {ratios}", file=sys.stderr)
    return comparison


def _table(results: list[Comparison]) -> str:
    head = "| connections | server | requests/s | CPU a request | p50 | p99 | ratio, median (least to most) | by CPU |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for result in results:
        for name, loads in (("bare aiohttp handler", result.bare), ("collector, durable", result.collector)):
            middle = [statistics.median(values) for values in zip(*loads, strict=True)]
            ours = name.startswith("collector")
            ratio, by_cpu = (_spread(result.ratios), _spread(result.cpu_ratios)) if ours else ("1", "1")
            failures = sum(load.failed for load in loads)
            failed = f", {failures} FAILED" if failures else ""
            lines.append(
                f"| {result.connections} | {name}{failed} | {middle[0]:,.0f} | {middle[4]:.0f} µs"
                f" | {middle[1]:.1f} ms | {middle[2]:.1f} ms | {ratio} | {by_cpu} |"
            )
    return "\n".join(lines)


def _spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _keep(results: list[Comparison], text: str) -> None:
    figures = [
        {
            "connections": r.connections,
            "ratio": statistics.median(r.ratios),
            "ratios": r.ratios,
            "cpu_ratio": statistics.median(r.cpu_ratios),
            "cpu_ratios": r.cpu_ratios,
        }
        for r in results
    ]
    RESULTS.write_text(json.dumps({"machine": machine(), "single_reports": figures}, indent=2) + "\n")
    keep("figures", text)


if __name__ == "__main__":
    sys.exit(main())
