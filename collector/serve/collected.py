"""What was read of the deployments at one moment, which every replica tells alike -> their series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from collector.normalize.noise import Rule
from collector.rollup.moment import Moment
from collector.rollup.snapshot import Snapshot
from collector.rollup.stored import Stored
from collector.rollup.totals import Totals
from collector.rollup.workspaces import WorkspaceCounts
from collector.serve import families
from collector.serve.coder_families import Wanted, capped, deployment_series
from collector.serve.exported_use import aibridge_left_out, aibridge_series, violation_series, violations_left_out
from collector.serve.exposition import Sampled, sampled

MAX_RULE_LABELS = 100
MOST_SERIES = 5_000  # of a gauge; counters are bounded where they are read


class Chosen(NamedTuple):
    """What an operator has chosen that shows in them; ``wanted`` is None without metrics under Coder's names."""

    rules: Sequence[Rule] = ()
    currency: str = ""
    store_limit: int = 0
    wanted: Wanted | None = None


def moment_series(moment: Moment, chosen: Chosen) -> list[Sampled]:
    """What does not depend on which replica is asked: sums and snapshots, and the store that all of them share."""
    stored, current = moment.stored, moment.current
    gauges, left_out = capped(
        [
            *_snapshots(moment.snapshots),
            *([_one(families.SNAPSHOT_AT, current.collected_at / 1000)] if current else ()),
            _deployments(moment.snapshots),
            *_told(stored),
            *violation_series(moment.violations),
            *aibridge_series(moment.use, chosen.currency),
            _one(families.STORE_BYTES, moment.store_bytes),
            _one(families.STORE_LIMIT, chosen.store_limit),
        ],
        MOST_SERIES,
    )
    coder, coder_left_out = capped(deployment_series(moment.coder, chosen.wanted) if chosen.wanted else ())
    counters = [*_csp(stored.sums), _noise(stored.sums.matches, chosen.rules)]
    # The largest first: what stands there need not be summed up again for a compressed answer.
    return [*coder, *counters, *gauges, _left_out(moment, len(chosen.rules), left_out | coder_left_out)]


def _one(family: families.Family, value: float) -> Sampled:
    return Sampled(family, {"": value})


def _csp(sums: Totals) -> Iterator[Sampled]:
    reports = ((row.project, row.directive, row.disposition, row.noise_class) for row in sums.csp)
    yield sampled(families.CSP_REPORTS, zip(reports, (row.count for row in sums.csp), strict=True))
    yield sampled(families.CSP_DROPPED, (((drop.project, drop.reason), drop.count) for drop in sums.drops))
    yield sampled(families.OTHER_REPORTS, (((other.project, other.type), other.count) for other in sums.others))


def _noise(matches: Mapping[str, int], rules: Sequence[Rule]) -> Sampled:
    """The first rules in effect alone, by rank: the names come from an operator's file, and are labels here."""
    first = rules[:MAX_RULE_LABELS]
    return sampled(families.NOISE_MATCHES, (((rule.name,), matches.get(rule.name, 0)) for rule in first))


def _snapshots(snapshots: Sequence[Snapshot]) -> Iterator[Sampled]:
    """Of every deployment one set."""
    every = [(one.deployment, one.agents) for one in snapshots]
    by_status = ((one.deployment, msgspec.structs.asdict(one.workspaces)) for one in snapshots)
    statuses = (((name, status), count) for name, counts in by_status for status, count in counts.items())
    yield sampled(families.WORKSPACES, statuses)
    open_ = ((name, msgspec.structs.asdict(agents.sessions)) for name, agents in every)
    yield sampled(families.SESSIONS, (((name, app), count) for name, counts in open_ for app, count in counts.items()))
    taken = ((name, (("50", agents.latency_p50_ms), ("95", agents.latency_p95_ms))) for name, agents in every)
    seen = (((name, percentile), ms / 1000) for name, latencies in taken for percentile, ms in latencies if ms >= 0)
    yield sampled(families.LATENCY, seen)
    yield sampled(families.RX_BYTES, (((name,), agents.rx_bytes) for name, agents in every))
    yield sampled(families.TX_BYTES, (((name,), agents.tx_bytes) for name, agents in every))


def _deployments(snapshots: Sequence[Snapshot]) -> Sampled:
    """They are bounded: telemetry can bring a hundred, the others an operator has named."""
    keys = ((one.deployment, one.source.value, str(one.approximate).lower()) for one in snapshots)
    return sampled(families.DEPLOYMENTS, ((key, 1) for key in keys))


def _told(stored: Stored) -> Iterator[Sampled]:
    heard = (((state.deployment, state.source.value), state.last_success_at / 1000) for state in stored.sources)
    yield sampled(families.SOURCE_SUCCESS_AT, heard)
    yield sampled(families.GROUPS, _groups(stored))
    yield Sampled(families.BACKUP_AT, {} if stored.backup_at is None else {"": stored.backup_at / 1000})


def _groups(stored: Stored) -> Iterator[tuple[tuple[str, ...], int]]:
    for deployment, group in stored.groups:
        labels = deployment, group.key.organization, group.key.template, str(group.key.prebuilt).lower()
        for status in WorkspaceCounts.__struct_fields__:
            yield (*labels, status), getattr(group, status)


def _left_out(moment: Moment, rules: int, too_many: Mapping[str, int]) -> Sampled:
    """Of each metric that has a bound; what was left out where it was read comes to what was left out of that."""
    left_out = Counter({families.NOISE_MATCHES.name: max(0, rules - MAX_RULE_LABELS)})
    for found in (too_many, violations_left_out(moment.violations), aibridge_left_out(moment.use)):
        left_out.update(found)
    stored, folded = moment.stored, moment.stored.sums.folded
    left_out[families.CSP_REPORTS.name] = folded.csp
    left_out[families.CSP_DROPPED.name] = folded.drops
    left_out[families.OTHER_REPORTS.name] = folded.others
    left_out[families.SOURCE_SUCCESS_AT.name] += stored.sources_left_out
    left_out[families.GROUPS.name] += stored.groups_left_out * len(WorkspaceCounts.__struct_fields__)
    return sampled(families.LEFT_OUT, (((name,), count) for name, count in left_out.items()))
