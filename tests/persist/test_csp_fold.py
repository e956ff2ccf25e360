"""A folded batch says what its reports say one by one."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from collector.persist.csp_fold import DISPOSITIONS, MINUTE_MS, folded, noise_rules
from collector.wire.records import CspIntake, CspReport, Sample

NOW = 1_768_384_800_000


def report(disposition: str | None, rule: str | None) -> CspReport:
    """One of the few that come again and again."""
    return CspReport(
        effective_directive="img-src",
        blocked_kind="origin",
        blocked_origin="https://ads.example.net",
        blocked_key="https://ads.example.net",
        document_origin="https://shop.example",
        disposition=disposition,
        noise_class=None,
        noise_rule=rule,
        place="",
        sample=Sample(),
    )


# Two are equal, and no two are one object.
REPORTS = [report("enforce", None), report("report", "a"), report(None, "b"), report(None, "b")]
AGES = st.sampled_from([0, 0, 1, 59_999, 60_000, 3_600_000])
BROUGHT = st.lists(st.tuples(st.sampled_from(REPORTS), st.sampled_from(["x", "y", "z"]), AGES), max_size=6)
INTAKES = st.builds(
    lambda brought, at, client, aged: CspIntake(
        1,
        "d",
        NOW + at,
        tuple(report for report, _, _ in brought),
        tuple(fingerprint for _, fingerprint, _ in brought),
        client=client,
        ages=tuple(age for _, _, age in brought) if aged else (),
    ),
    BROUGHT,
    st.integers(0, 90_000),
    st.none() | st.integers(1, 3),
    st.booleans(),
)


@given(st.lists(INTAKES, max_size=6))
def test_a_fold_is_the_sum_of_its_reports(intakes: list[CspIntake]) -> None:
    """Counts by minute and disposition, first and last, clients, rules and the newest report: all as one by one."""
    one_by_one = [
        (fingerprint, report, intake.received_at - age, intake.client)
        for intake in intakes
        for report, fingerprint, age in zip(
            intake.reports, intake.fingerprints, intake.ages or (0,) * len(intake.reports), strict=True
        )
    ]
    folds = folded(intakes)
    assert folds.keys() == {fingerprint for fingerprint, *_ in one_by_one}
    for name, fold in folds.items():
        own = [(report, seen, client) for fingerprint, report, seen, client in one_by_one if fingerprint == name]
        counts = {
            (minute, disposition): count
            for minute, some in fold.minutes.items()
            for disposition, count in zip(DISPOSITIONS, some, strict=True)
            if count
        }
        assert counts == Counter((seen // MINUTE_MS, report.disposition or "unknown") for report, seen, _ in own)
        assert (fold.first_seen, fold.last_seen) == (min(seen for _, seen, _ in own), max(seen for _, seen, _ in own))
        assert fold.newest in [report for report, seen, _ in own if seen == fold.last_seen]
        assert fold.clients == {client for *_, client in own if client is not None}
        assert fold.count == len(own)
        came: Counter[int] = Counter()
        for each, count in fold.reports:
            came[id(each)] += count
        assert came == Counter(id(each) for each, *_ in own)
    assert noise_rules(folds) == Counter((1, each.noise_rule) for _, each, *_ in one_by_one if each.noise_rule)
