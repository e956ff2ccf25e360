"""Whatever is not served of a metric is in another one."""

from __future__ import annotations

from collector.rollup.aibridge_recent import Cut, Recent
from collector.rollup.coder_metrics import CoderMoment, TemplateUse
from collector.rollup.moment import Moment
from collector.rollup.stored import Stored
from collector.rollup.totals import Folded, Totals
from collector.rollup.violation_counts import NewCount, StateCount, ViolationCounts
from collector.serve.coder_families import MOST_SERIES as MOST_CODER_SERIES
from collector.serve.coder_families import Wanted
from collector.serve.collected import MOST_SERIES, Chosen, moment_series


def left_out(moment: Moment) -> dict[str, float]:
    """What is missing, by the metric's name."""
    (found,) = (one.samples for one in moment_series(moment, CHOSEN) if one.family.name == "collector_metric_series_left_out")
    return {labels.split('"')[1]: count for labels, count in found.items() if count}


STORED = Stored(Totals([], [], [], {}), [], [], None, sources_left_out=0, groups_left_out=0)
ALL = Moment(0, (), None, STORED, ViolationCounts([], [], []), (), 0, CoderMoment())
CHOSEN = Chosen(wanted=Wanted(agent_stats=True, by=()))


def test_every_bound_is_told() -> None:
    """What was cut where it was read, by the metric that it is missing from; nothing of what is whole."""
    assert left_out(ALL) == {}
    stored = STORED._replace(sums=Totals([], [], [], {}, Folded(1, 2, 3)), sources_left_out=4, groups_left_out=5)
    recent = Recent("1h", {}, {}, {}, Cut(interceptions=1, tools=1))
    counts = ViolationCounts([], [NewCount("shop", "none", 1)], [], all_new=False)
    used = [TemplateUse(f"t{number}", 1, (0, 0, 0, 0)) for number in range(MOST_CODER_SERIES + 9)]
    many = CoderMoment(templates=tuple(used))
    cut = ALL._replace(stored=stored, violations=counts, use=(recent, recent), coder=many)
    assert left_out(cut) == {
        "collector_csp_reports_total": 1,
        "collector_csp_dropped_reports_total": 2,
        "collector_other_reports_total": 3,
        "collector_source_last_success_timestamp_seconds": 4,
        "collector_deployment_group_workspaces": 5 * 5,  # by status
        "collector_csp_new_violations": 1,
        "collector_aibridge_interceptions": 2,
        "collector_aibridge_tool_calls": 2,
        "coderd_insights_templates_active_users": 9,
    }


def test_no_gauge_has_a_series_for_each_of_any_number_of_projects() -> None:
    """The first ones are served, by name."""
    states = [StateCount(f"p{number}", "open", noise=False, amount=1) for number in range(MOST_SERIES + 7)]
    assert left_out(ALL._replace(violations=ViolationCounts(states, [], []))) == {"collector_csp_violations": 7}
