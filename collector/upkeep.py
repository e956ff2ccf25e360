"""What keeps house: how long rows are kept, what follows a change of noise rules, and what is written last."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import structlog

from collector.config.noise_rules import noise_rules
from collector.config.settings import Settings
from collector.normalize.filters import NoiseFilter
from collector.normalize.rejudge import Rejudge, digests
from collector.persist.csp import CspRows
from collector.persist.engine import Store
from collector.persist.writer import Writer
from collector.rollup.noise import begin_rejudging, rejudge
from collector.rollup.retention import Retentions

FOREVER_MS = 1 << 52  # 142,000 years

log = structlog.get_logger(__name__)


def retentions(settings: Settings) -> Retentions:
    """How long each kind of row is kept."""

    def milliseconds(span: timedelta) -> int:
        return span // timedelta(milliseconds=1)

    return Retentions(
        csp_minutes=milliseconds(settings.csp_minutes_retention),
        csp_hours=milliseconds(settings.csp_hours_retention),
        violations=milliseconds(settings.csp_violation_retention),
        agent_stats=milliseconds(settings.agent_stats_retention),
        workspaces=milliseconds(settings.workspace_retention),
        snapshots=milliseconds(settings.snapshot_retention),
        tokens=milliseconds(settings.api_keys_retention) or FOREVER_MS,
    )


async def noise_in_effect(settings: Settings, store: Store) -> NoiseFilter:
    """The noise rules of this start. That stored violations are to follow them is noted before the first report is taken.

    Raises:
        InvalidOption: names the rule and the key of the file that cannot be used.
    """
    noise = NoiseFilter(noise_rules(settings.csp_noise_rules))
    await begin_rejudging(store, digests(noise))
    return noise


async def follow_noise(store: Store, writer: Writer, noise: NoiseFilter) -> None:
    """Judge stored violations by ``noise``, as far as they have not been."""
    await rejudge(store, writer.write, digests(noise), partial(Rejudge, noise))


async def last_flush(rows: CspRows, writer: Writer) -> None:
    """Write what follows the reports at a distance, before the writer ends. A store that fails keeps no process from ending."""
    try:
        await rows.flush(writer.write)
    except Exception as error:  # noqa: BLE001 — what is behind is said, whatever the reason
        log.warning("facets are behind by the last seconds", error=type(error).__name__)
