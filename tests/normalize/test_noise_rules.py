"""A file of rules changes the shipped table by name, and every fault in it is said of the rule and the key."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.normalize.filters import NoiseFilter
from collector.normalize.noise import RULES, Rule
from collector.normalize.noise_rules import MAX_RULES, effective_rules
from collector.wire.errors import InvalidOption
from collector.wire.records import NoiseClass
from tests.examples import examples

PROBE = {"name": "our-probe", "class": "security-software", "hosts": ["Probe.Example"], "where": ["blocked", "source"]}


def effective(**changes: Any) -> tuple[Rule, ...]:
    return effective_rules(changes, place="rules.yaml")


def judged(rules: tuple[Rule, ...], **fields: str) -> str | None:
    """The name of the rule that fits a report with these fields."""
    report = {"blocked": "inline", "source": None, "document": "https://shop.example/", "sample": None}
    rule = NoiseFilter(rules).rule(**{"directive": "script-src", **report, **fields})
    return None if rule is None else rule.name


def test_no_file_and_an_empty_one_change_nothing() -> None:
    """The shipped table stands as it is."""
    assert effective_rules(None, place="") == effective() == RULES


def test_shipped_rules_are_turned_off_and_on_by_name() -> None:
    """A rule that is off fits nothing; the next that fits names the report."""
    rules = effective(disable=["translator-host"], enable=["localhost"])

    assert judged(rules, blocked="https://translate.googleapis.com/x") is None
    assert judged(RULES, blocked="https://translate.googleapis.com/x") == "translator-host"
    assert judged(rules, blocked="http://localhost:3000/x.js") == "localhost"
    assert [rule.name for rule in rules] == [rule.name for rule in RULES]


def test_added_rules_rank_before_the_shipped() -> None:
    """What an operator says of an extension goes before what the shipped table says."""
    rules = effective(
        rules=[{"name": "our-add-on", "class": "app-webview", "prefixes": ["chrome-extension://OURS"]}, {**PROBE, "parts": []}]
    )

    assert judged(rules, source="chrome-extension://ours/x.js") == "our-add-on"
    assert judged(rules, source="chrome-extension://theirs/x.js") == "extension-scheme"
    assert judged(rules, blocked="https://a.probe.example/x.js") == "our-probe"
    assert judged(rules, blocked="https://myprobe.example/x.js") is None
    assert judged(rules, document="https://probe.example/") is None
    assert rules[0].noise_class is NoiseClass.APP_WEBVIEW


def test_a_rule_may_be_about_one_directive_and_any_of_its_patterns() -> None:
    """With a directive a rule leaves the others alone, whatever it matches by; samples rank like all else."""
    named = {"name": "ours", "class": "browser-bug", "directive": "img-src", "samples": "^boom", "parts": ["/boom/"]}
    rules = effective(rules=[named])

    assert judged(rules, sample="boom!", directive="img-src") == "ours"
    assert judged(rules, sample="boom!") is None
    assert judged(rules, blocked="https://x.example/BOOM/", directive="img-src") == "ours"
    assert judged(rules, blocked="https://x.example/boom/") is None
    assert judged(rules, sample="boom!", source="moz-extension", directive="img-src") == "ours"


def test_who_names_a_host_of_their_own_means_it() -> None:
    """A shipped rule spares the makers' own sites; an added one about the site's own host holds there too."""
    rules = effective(rules=[{**PROBE, "hosts": ["shop.example"], "where": ["blocked"]}])

    assert judged(rules, blocked="https://probe.shop.example/x.js") == "our-probe"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"disable": ["no-such"]}, "disable: no rule 'no-such' ships with the collector"),
        ({"disable": ["localhost"], "enable": ["localhost"]}, "enable: 'localhost' is disabled too"),
        ({"disabled": []}, "Object contains unknown field `disabled`"),
        ({"rules": {}}, "rules: Expected `array`, got `object`"),
        ({"rules": [7]}, "rule 1: Expected `object`, got `int`"),
        ({"rules": [PROBE, {"class": "browser-bug"}]}, "rule 2: Object missing required field `name`"),
        ({"rules": [{**PROBE, "host": ["x"]}]}, "rule 'our-probe': Object contains unknown field `host`"),
        ({"rules": [{**PROBE, "class": "adware"}]}, "rule 'our-probe': class: Invalid enum value 'adware'"),
        ({"rules": [{**PROBE, "hosts": "probe.example"}]}, "rule 'our-probe': hosts: Expected `array`, got `str`"),
        ({"rules": [{**PROBE, "hosts": [7]}]}, "rule 'our-probe': hosts[0]: Expected `str`, got `int`"),
        ({"rules": [{**PROBE, "hosts": ["*.probe.example"]}]}, "rule 'our-probe': hosts: '*.probe.example' is not a host name"),
        ({"rules": [{**PROBE, "hosts": ["https://x.example"]}]}, "rule 'our-probe': hosts: 'https://x.example' is not a host"),
        ({"rules": [{**PROBE, "schemes": ["x:"]}]}, "rule 'our-probe': schemes: 'x:' is not a scheme without its colon"),
        ({"rules": [{**PROBE, "parts": ["/"]}]}, "rule 'our-probe': parts: '/' is not a text of 3 to 500 characters"),
        ({"rules": [{**PROBE, "samples": "("}]}, "rule 'our-probe': samples: is not a regular expression"),
        ({"rules": [{**PROBE, "samples": "a*"}]}, "rule 'our-probe': samples: fits the empty text"),
        ({"rules": [{**PROBE, "samples": "a" * 501}]}, "rule 'our-probe': samples: must have 1 to 500 characters"),
        ({"rules": [{**PROBE, "where": []}]}, "rule 'our-probe': where: must name one place at least"),
        ({"rules": [{**PROBE, "where": ["sample"]}]}, "rule 'our-probe': where[0]: Invalid enum value 'sample'"),
        ({"rules": [{**PROBE, "directive": "scripts"}]}, "rule 'our-probe': directive: 'scripts' is no directive"),
        ({"rules": [{**PROBE, "hosts": []}]}, "rule 'our-probe': hosts: a rule needs this or another of"),
        ({"rules": [{**PROBE, "name": "Our Probe"}]}, "rule 'Our Probe': name: must be 1 to 64 of a-z"),
        ({"rules": [{**PROBE, "name": "localhost"}]}, "rule 'localhost': name: another rule has it"),
        ({"rules": [PROBE, PROBE]}, "rule 'our-probe': name: another rule has it"),
        ({"rules": [PROBE] * (MAX_RULES + 1)}, f"rules: {MAX_RULES + 1} of them, more than {MAX_RULES}"),
    ],
)
def test_a_fault_is_said_of_the_rule_and_the_key(changes: dict[str, Any], said: str) -> None:
    """One line names the file, the rule and the key."""
    with pytest.raises(InvalidOption) as caught:
        effective_rules(changes, place="rules.yaml")
    assert caught.value.message.startswith(f"rules.yaml: {said}")


@pytest.mark.parametrize("document", [7, "text", ["a"], True])
def test_a_file_that_is_no_mapping_is_refused(document: Any) -> None:
    """A list or a text is no file of rules."""
    with pytest.raises(InvalidOption, match="Expected `object`"):
        effective_rules(document, place="rules.yaml")


KEYS = st.sampled_from(
    [*PROBE, "schemes", "endings", "prefixes", "paths", "parts", "samples", "directive", "enable", "disable", "rules"]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.sampled_from(["img-src", "x-y"])),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=8)),
    max_leaves=20,
)
ADDED = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b", "c-1"]), "class": st.sampled_from(sorted(NoiseClass))},
    optional={
        key: st.one_of(VALUES, st.lists(st.text(max_size=8), max_size=3)) for key in ("hosts", "parts", "samples", "where")
    },
)
DOCUMENTS = st.one_of(VALUES, st.fixed_dictionaries({"rules": st.lists(ADDED, max_size=3)}))


@settings(max_examples=examples(300), derandomize=True, deadline=None)
@given(document=DOCUMENTS)
def test_whatever_a_file_says(document: Any) -> None:
    """It gives a table that judges reports, or one refusal in words; never anything else."""
    try:
        rules = effective_rules(document, place="rules.yaml")
    except InvalidOption:
        return
    noise = NoiseFilter(rules)
    for text in ("", "https://a.example/x", "chrome-extension", "\ud83d\x00"):
        noise.rule(blocked=text, source=text, document=text, sample=text, directive="img-src")
