"""A stored violation is judged again by what is left of its reports, and left alone where that is too little."""

from __future__ import annotations

from typing import Any

import msgspec

from collector.normalize.csp import arrived
from collector.normalize.filters import SHIPPED, NoiseFilter
from collector.normalize.fingerprint import fingerprint
from collector.normalize.noise_rules import effective_rules
from collector.normalize.rejudge import Rejudge, digests
from collector.wire.noise import Judgement, StoredViolation
from collector.wire.records import NoiseClass, Sample

JUDGED_BY = dict(digests(SHIPPED))


def rules(*added: dict[str, Any], **changes: Any) -> NoiseFilter:
    """The shipped table with changes."""
    return NoiseFilter(effective_rules({"rules": list(added), **changes}, place="test"))


def stored(*samples: Sample, rule: str | None = None, noise_class: NoiseClass | None = None) -> StoredViolation:
    """A violation with these samples, as the table that ships judged it unless said otherwise."""
    return StoredViolation(7, "shop", "f", "script-src-elem", "https://x.example", "", noise_class, rule, 3, samples)


def reported(blocked: str = "https://x.example/a.js", source: str | None = None, policy: str = "") -> Sample:
    """What is stored of a report."""
    fields = {"document-uri": "https://shop.example/", "blocked-uri": blocked, "source-file": source, "original-policy": policy}
    return arrived(msgspec.json.encode({"csp-report": fields}), user_agent=None).reports[0].sample


PROBE = {"name": "probe", "class": "security-software", "hosts": ["x.example"]}


def test_a_new_rule_moves_what_it_fits() -> None:
    """The new judgement names rule, class and the fingerprint that such a report gets when it comes in."""
    found = Rejudge(rules(PROBE), JUDGED_BY)(stored(reported(), reported("https://x.example/b.js")))

    group = ("script-src-elem", "https://x.example", NoiseClass.SECURITY_SOFTWARE, "")
    assert found == Judgement(NoiseClass.SECURITY_SOFTWARE, "probe", fingerprint("shop", group))


def test_what_nothing_fits_stays_no_noise() -> None:
    """The judgement of a violation that nothing has changed for is the one it has."""
    found = Rejudge(SHIPPED, JUDGED_BY)(stored(reported()))
    assert found is not None
    assert (found.noise_class, found.noise_rule) == (None, None)


def test_a_rule_that_is_gone_lets_go() -> None:
    """Without its rule a violation is no noise any more."""
    found = Rejudge(rules(disable=["adware-host"]), JUDGED_BY)(
        stored(reported("https://superfish.com/x"), rule="adware-host", noise_class=NoiseClass.INJECTED_ADWARE)
    )
    assert found is not None
    assert found.noise_class is None


def test_samples_that_disagree_leave_it_where_it_is() -> None:
    """Half of an inline violation may come from an extension: the row cannot be cut in two."""
    judge = Rejudge(rules({**PROBE, "where": ["source"]}), JUDGED_BY)

    assert judge(stored(reported("inline", source="https://x.example/s.js"), reported("inline"))) is None
    assert judge(stored()) is None


def test_a_rule_that_means_the_same_still_fits() -> None:
    """What matched an error page by its data URL is known by its rule alone: of the URL only the scheme was stored."""
    page = stored(reported("data:text/html,chromewebdata"), rule="browser-error-page", noise_class=NoiseClass.BROWSER_INTERNAL)
    assert page.samples[0].blocked_uri == "data:"

    same = Rejudge(rules(PROBE), JUDGED_BY)(page)
    assert same is not None
    assert same.noise_rule == "browser-error-page"
    # What it meant then is not known: the stored URI says too little, and it stays.
    assert Rejudge(SHIPPED, {})(page) is None
    # A rule that fits what was stored, and ranks before it, takes it.
    taken = Rejudge(rules({"name": "data", "class": "browser-bug", "schemes": ["data"]}), JUDGED_BY)(page)
    assert taken is not None
    assert taken.noise_rule == "data"


def test_digests_tell_what_a_rule_means() -> None:
    """Order, a pattern and whether a rule is on make another table; reading it twice does not."""
    assert digests(rules(PROBE)) == digests(rules(PROBE))
    assert digests(rules(PROBE)) != digests(rules({**PROBE, "hosts": ["y.example"]}))
    assert dict(digests(rules(enable=["localhost"]))).keys() - JUDGED_BY.keys() == {"localhost"}
