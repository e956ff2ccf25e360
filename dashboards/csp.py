"""What browsers report: how much, by what rule, which violations most, what is new, and what is only noise."""

from __future__ import annotations

from dashboards.board import Board, Link, Row, Variable, number, once, over_time, table

REPORTS = 'collector_csp_reports_total{project=~"$project"}'
SIGNAL = 'collector_csp_reports_total{project=~"$project",noise_class="none"}'
NOISE = 'collector_csp_reports_total{project=~"$project",noise_class!="none"}'
ENFORCED = 'collector_csp_reports_total{project=~"$project",noise_class="none",disposition="enforce"}'
DROPPED = 'collector_csp_dropped_reports_total{project=~"$project"}'
OTHERS = 'collector_other_reports_total{project=~"$project"}'
OPEN = 'collector_csp_violations{project=~"$project",state="open",noise="false"}'
KEPT = 'collector_csp_violations{project=~"$project",noise="false"}'
NEW = 'collector_csp_new_violations{project=~"$project",noise_class="none"}'
TOP = 'collector_csp_top_violation_reports{project=~"$project"}'
# Raw, or Grafana would encode the address's own colon and slashes.
VIOLATION = Link("fingerprint", "This violation", "${dashboard_url:raw}/csp/violations/${__data.fields.fingerprint}")


def grown(series: str) -> str:
    """By how much all ``series`` together grew in the time shown, whichever replicas told it meanwhile."""
    return f"sum(increase({once(series)}[$__range:$__interval]))"


def rate(series: str) -> str:
    """How fast each of ``series`` grows."""
    return once(f"rate({series}[$__rate_interval])")


NOW = Row(
    "Now",
    (
        number(
            "Reports",
            "CSP reports that were counted in the time shown, noise among them.",
            grown(REPORTS),
        ),
        number(
            "Noise",
            "The share of them that is no fault of a site: extensions, security software, browsers themselves.",
            f"{grown(NOISE)} / {grown(REPORTS)}",
            unit="percentunit",
        ),
        number(
            "Enforced",
            "The share of reports without noise whose policy was in force: something was blocked before a visitor's eyes.",
            f"{grown(ENFORCED)} / {grown(SIGNAL)}",
            unit="percentunit",
        ),
        number(
            "Open violations",
            "Violations that nobody has acknowledged, ignored or resolved, without noise.",
            f"sum({once(OPEN)})",
        ),
        number(
            "New in the last hour",
            "Violations without noise that were stored for the first time. A release that breaks its policy shows here first.",
            f"sum({once(NEW)})",
            steps=((20, "orange"), (100, "red")),
        ),
        number(
            "Overflow",
            "Reports of all projects that share one violation, since their project made too many new ones in an hour.",
            "sum(increase(collector_overflow_reports_total[$__range]))",
            steps=((1, "red"),),
        ),
    ),
)

RATE = Row(
    "Reports without noise",
    (
        over_time(
            "By directive",
            "Reports a second by the directive that was violated.",
            (f"sum by (directive) ({rate(SIGNAL)})", "{{directive}}"),
            unit="reqps",
            stacked=True,
        ),
        over_time(
            "By project",
            "Reports a second by the project whose key brought them.",
            (f"sum by (project) ({rate(SIGNAL)})", "{{project}}"),
            unit="reqps",
            stacked=True,
        ),
        over_time(
            "By disposition",
            "Enforced policies block what they report; report-only ones do not. Old browsers do not say which it was.",
            (f"sum by (disposition) ({rate(SIGNAL)})", "{{disposition}}"),
            unit="reqps",
        ),
        over_time(
            "Other reports",
            "Reports of the Reporting API that are not about CSP, a second, by type.",
            (f"sum by (type) ({rate(OTHERS)})", "{{type}}"),
            unit="reqps",
        ),
    ),
)

VIOLATIONS = Row(
    "Violations",
    (
        table(
            "Top violations",
            "The open violations with the most reports, noise left out. Each fingerprint leads to its violation.",
            f"topk(20, sum by (project, directive, blocked_kind, fingerprint) ({once(TOP)}))",
            height=16,
            links=(VIOLATION,),
        ),
        over_time(
            "New violations",
            "Violations first stored in the hour before, without noise.",
            (f"sum by (project) ({once(NEW)})", "{{project}}"),
        ),
        over_time(
            "By state",
            "Violations that are kept, without noise, by what somebody decided about them.",
            (f"sum by (state) ({once(KEPT)})", "{{state}}"),
            stacked=True,
        ),
    ),
)

LEFT_OUT = Row(
    "Noise, and what was left out",
    (
        over_time(
            "Noise by class",
            "Reports a second that a noise rule matched, by what they come from.",
            (f"sum by (noise_class) ({rate(NOISE)})", "{{noise_class}}"),
            unit="reqps",
            stacked=True,
        ),
        over_time(
            "Noise rules",
            "The ten rules that matched most, in reports a second of all projects.",
            (f"topk(10, sum by (rule) ({rate('collector_noise_rule_matches_total')}) > 0)", "{{rule}}"),
            unit="reqps",
        ),
        over_time(
            "Left out by reason",
            "Reports a second that were acknowledged and not counted among the violations.",
            (f"sum by (reason) ({rate(DROPPED)})", "{{reason}}"),
            unit="reqps",
        ),
        over_time(
            "Overflow",
            "Reports a second, of all projects, beyond what a project may make of new violations in an hour.",
            ("sum(rate(collector_overflow_reports_total[$__rate_interval]))", "reports"),
            unit="reqps",
        ),
    ),
)

BOARD = Board(
    uid="collector-csp",
    title="Collector / CSP",
    description="Content Security Policy reports of your sites, by project.",
    rows=(NOW, RATE, VIOLATIONS, LEFT_OUT),
    variables=(
        Variable("project", "Project", "collector_csp_reports_total"),
        Variable("dashboard_url", "Collector", "collector_build_info", hidden=True),
    ),
)
