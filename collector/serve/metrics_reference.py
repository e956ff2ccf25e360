"""``docs/metrics.md``, made of the families that the exporter declares and the instruments that the process registered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import REGISTRY

from collector.normalize.uris import KEYWORDS
from collector.rollup.aibridge_recent import WINDOWS
from collector.rollup.workspaces import WorkspaceCounts
from collector.serve import coder_families, families
from collector.serve.families import Family
from collector.wire.aibridge import PARTS
from collector.wire.csp import DIRECTIVES
from collector.wire.deployment import SessionCounts, Source
from collector.wire.other_reports import OTHER_TYPE, OTHER_TYPES
from collector.wire.records import DropReason, NoiseClass
from collector.wire.violations import State

HEAD = """# Metrics

<!-- Made by `collector metrics docs`. Change the instruments, collector/serve/families.py or metrics_reference.py there. -->

Prometheus reads them from a listener of its own, by default `http://127.0.0.1:2112/metrics` (any path works there, no
credential is asked for). `/metrics` on the ordinary address gives the same to owners and auditors. Turn the listener off
with `CODER_PROMETHEUS_ENABLE=false`, move it with `CODER_PROMETHEUS_ADDRESS`.

Every label value comes from a closed list, from the names of your projects, or from the ids, organizations and templates of
your deployments, of which there are at most 400. Of models and of tools, which have the names that logs give them, 40 are
named and the rest is `other`. No host, URL or user name is ever a label of a `collector_*` metric, but the service's own
address in `collector_build_info`.

It comes as text (0.0.4) or as OpenMetrics (1.0), by what `Accept` would rather have, and compressed where `Accept-Encoding`
names gzip.

`/metrics/deployment` and `/metrics/replica` are the halves of it, on both addresses. **What was collected** is of one moment:
counters, violations, the use of AI models and what stands under Coder's names are read with the snapshot, in one transaction,
every `CODER_AGENT_STATS_REFRESH_INTERVAL`, and replaced together. Between two snapshots nothing of it moves, so ranges of
`rate` and `increase` have to be longer than that. The leader reads it and every replica tells the same, a sixth of the interval
later at most: scrape this half of one of them, or of all and count it once, with `max without (instance, pod)`.

**How the service is doing** is of the moment of the scrape, and every replica says it of itself: scrape this half of each.
Counters and histograms add up. Of gauges those do that are a replica's own, like `collector_queue_reports`; what all replicas
see of one thing, like `collector_leader_epoch`, the lease or the stream (`collector_stream_*`), is to be taken once: its `max`.
With [several processes](operations.md#several-cores) in a replica its counters and histograms are those of all of them
together, and its gauges, `process_*` and `python_*` those of the main process alone.
"""

COLLECTED = """
## What was collected

The counters are kept in the database: a restart, retention or a second process does not lower them. The byte gauges are sums
over a window that overlaps the next one's: do not add them up over time. What is said of the deployment appears with the
first snapshot.

Up to 5,000 series of such a counter are told apart. What is beyond them is added up, by the order in which projects were made:
of the later ones the reports of all directives are one series with the directive `other`, and when there are more than 5,000
of those as well, later projects are together the project `other`. Nothing is missing from a sum, and none falls.

A scrape never asks the store. While it cannot be read or written, or any part of all this fails, a scrape gets what was read
last, all of it, and `collector_metrics_age_seconds` says how old that is; after a restart too. Before the first snapshot
nothing is said at all.
"""

CODER = """
## Under Coder's names

With `COLLECTOR_CODER_METRICS=true` the metrics that dashboards for Coder ask for are served too, with the names, labels and
values that a Coder server gives them. It is off by default: a Prometheus that also scrapes the server would count double.
They are of the deployment that answers when nobody names one, and are made as often as its snapshots. All but those of this
process's agents stand in `/metrics/deployment`.

`CODER_PROMETHEUS_COLLECT_AGENT_STATS` adds `coderd_agentstats_*` and what agents send of themselves, which stands in
`/metrics/replica` and goes two minutes after the agent's last report. `CODER_PROMETHEUS_AGGREGATE_AGENT_STATS_BY` says which
labels tell agents apart; those alike in them are added up, and of their latencies the median is taken.

`coder_aibridged_*` are made of AI bridge records and kept in the database, so that no deleted record lowers them. Up to 20,000
groups of labels are told apart in a deployment; `collector_aibridge_overflow_groups_total` says whether there were more.

Their labels do name users, workspaces and templates, as far as `COLLECTOR_USER_IDENTITY` lets them be stored. Of each metric
there are at most 20,000 series; `collector_metric_series_left_out` says how many are missing, and of what agents send
`collector_agent_metric_series_left_out`. What differs from a Coder server stands in [compatibility](compatibility.md).

"""

OWN = """
## How the service is doing

All of it is of the moment of the scrape.

The counters and histograms begin at 0 with the process. Both CSP paths count as `/api/v2/csp/reports`. Beside these stand the
`process_*` and `python_*` metrics of the Prometheus client.
"""

TAIL = """
## What to watch

- `collector_snapshot_timestamp_seconds` more than three refresh intervals old: the rollup fails, and `/readyz` says why.
- `max(collector_leader) == 0` over all replicas: nobody does the jobs that are done once for all of them.
- `increase(collector_failed_commits_total[5m]) > 0`: the store fails; senders get 503 after `COLLECTOR_SUBMIT_TIMEOUT`.
- `collector_store_bytes` near `collector_store_limit_bytes`: new violations are about to be refused.
- `increase(collector_refused_reports_total[5m]) > 0` by `reason`: what was answered 503. Of legacy reports, and of all that
  Firefox and Safari send, nothing comes again.
- `collector_metrics_age_seconds` more than three refresh intervals: no snapshot is made, and all that was collected stands
  still.
- `collector_metric_series_left_out > 0`, `collector_agent_metric_series_left_out > 0`: a metric has more series than are
  served.
- `rate(collector_csp_dropped_reports_total[5m])` by `reason`: what is left out, and why.
"""

VALUES: dict[str, Iterable[str]] = {
    "directive": [*sorted(DIRECTIVES), "unknown", "other"],
    "disposition": ("enforce", "report", "unknown"),
    "noise_class": ("none", *NoiseClass),
    "reason": tuple(DropReason),
    "type": (*sorted(OTHER_TYPES), OTHER_TYPE),
    "status": WorkspaceCounts.__struct_fields__,
    "app": SessionCounts.__struct_fields__,
    "percentile": ("50", "95"),
    "source": tuple(Source),
    "approximate": ("true", "false"),
    "prebuilt": ("true", "false"),
    "state": tuple(State),
    "noise": ("true", "false"),
    "blocked_kind": ("origin", *sorted(KEYWORDS), "local", "scheme", "opaque", "overflow"),
    "window": tuple(WINDOWS),
    "kind": tuple(PARTS),
    "ended": ("true", "false"),
    "failed": ("true", "false"),
}

TABLE = ["| metric | type | labels | meaning |", "|---|---|---|---|"]


def reference() -> str:
    """The page. The instruments it names are those of the modules that are imported: of the whole service, in its commands."""
    own = [*map(_row, families.OWN), *_instruments()]
    values = [f"| `{label}` | {', '.join(f'`{value}`' for value in given)} |" for label, given in VALUES.items()]
    collected = [*TABLE, *map(_row, families.COLLECTED), "", "| label | values |", "|---|---|", *values]
    coder = [*TABLE, *map(_row, coder_families.FAMILIES)]
    return "\n".join([HEAD + COLLECTED, *collected, CODER.rstrip("\n") + "\n", *coder, OWN, *TABLE, *sorted(own), TAIL])


def _row(family: Family) -> str:
    return _line(family.name, family.kind, family.labels, family.meaning)


def _line(name: str, kind: str, labels: Iterable[str], meaning: str) -> str:
    return f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {meaning} |"


def _instruments() -> Iterator[str]:
    """The process's own. What labels an instrument has the client does not say in public."""
    instruments: Any = {id(made): made for made in REGISTRY._names_to_collectors.values()}  # noqa: SLF001
    for made in instruments.values():
        labels: tuple[str, ...] = getattr(made, "_labelnames", ())
        for described in made.describe() if hasattr(made, "describe") else ():
            if described.name.startswith("collector_"):
                total = "_total" if described.type == "counter" else ""
                yield _line(described.name + total, described.type, labels, described.documentation)
