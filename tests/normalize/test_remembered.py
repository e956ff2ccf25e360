"""What is remembered of bodies is bounded, and never changes what a body brings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.normalize.csp import MAX_AGE_MS, MAX_ENTRIES, arrived
from collector.normalize.remembered import Remembered
from collector.wire.errors import InvalidReport
from tests.normalize.test_csp import payload
from tests.normalize.test_csp_fuzz import BODIES, ENTRIES, POSTED, QUICK, REPORTS, VALUES

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"
BODY = '"body":{"blockedURL":"https://cdn.example/%d.js","documentURL":"https://shop.example/","effectiveDirective":"img-src"}'
MEMBER = '{"age":%s,' + BODY % 1 + ',"type":"csp-violation","url":"https://shop.example/"}'

AGES = st.one_of(st.integers(0, 10**6), st.sampled_from(["00", "-1", "1.5", "1e3", "9" * 20, "9" * 15, "null", '"7"']))
# What may stand after an age: a violation, another entry, another age under any spelling, or a piece of several of them.
TAILS = st.one_of(
    st.sampled_from(
        [
            BODY % 1 + ',"type":"csp-violation"}',
            BODY % 2 + ',"type":"csp-violation","user_agent":"Firefox/153.0"}',
            '"age":7,' + BODY % 1 + ',"type":"csp-violation"}',
            BODY % 1 + ',"type":"csp-violation","\\u0061ge":null}',
            BODY % 1 + ',"type":"csp-violation"},{"age":3}',
            '"x":[{"y":1}',
            '"x":"\\\\"}',
            '{"x":1}]}',
            "}",
            "",
        ]
    ),
    ENTRIES.map(lambda entry: json.dumps(entry).removeprefix("{")),
    st.builds(lambda body: json.dumps({"body": body, "type": "csp-violation"})[1:], REPORTS | VALUES),
)
ARRAYS = st.lists(st.tuples(AGES, TAILS), min_size=1, max_size=4).map(
    lambda pieces: ("[" + ",".join(f'{{"age":{age},{tail}' for age, tail in pieces) + "]").encode("utf-8", "surrogatepass")
)


def brought(body: bytes, remembered: Remembered | None) -> Any:
    """What ``body`` brings, or the words with which it is refused."""
    try:
        if remembered is None:
            return arrived(body, user_agent=CHROME)
        return remembered.arrived(body, user_agent=CHROME, project="default", now=0)
    except InvalidReport as refusal:
        return str(refusal), refusal.detail


@pytest.fixture(scope="module")
def remembered() -> Remembered:
    """One that has seen every body of the tests before."""
    made = Remembered()
    for body in BODIES:
        brought(body, made)
    return made


@QUICK
@given(ARRAYS | POSTED | st.sampled_from(BODIES))
def test_what_is_remembered_changes_no_answer(remembered: Remembered, body: bytes) -> None:
    """Whatever anybody posts, and whatever was posted before: it brings the same records, ages and refusals."""
    fresh = brought(body, None)
    assert brought(body, remembered) == fresh
    assert brought(body, remembered) == fresh


def test_the_same_body_is_normalized_once_a_browser_and_project() -> None:
    """Bytes that come again bring the very same record, unless another browser family or another project brings them."""
    body, remembered = payload("chromium-legacy-image"), Remembered()

    def found(user_agent: str, project: str) -> Any:
        return remembered.arrived(body, user_agent=user_agent, project=project, now=0)

    assert found(CHROME, "shop").reports[0] is found(CHROME, "shop").reports[0]
    assert found(FIREFOX, "shop").reports[0].sample.user_agent == "Firefox 153"
    assert found(CHROME, "blog").fingerprints != found(CHROME, "shop").fingerprints
    assert found(CHROME, "shop").fingerprints == arrived(body, user_agent=CHROME, project="shop").fingerprints


def test_a_member_of_an_array_is_normalized_once_whatever_its_age() -> None:
    """Reports that differ in their age alone are one record, each with its own age, which is never over two days."""
    remembered = Remembered()
    body = f"[{MEMBER % 5},{MEMBER % 40_000},{MEMBER % (9 * 10**14)}]".encode()
    found = remembered.arrived(body, user_agent=CHROME, project="default", now=0)
    assert len({id(report) for report in found.reports}) == 1
    assert found.ages == (5, 40_000, MAX_AGE_MS)


def test_members_over_the_limit_are_counted() -> None:
    """Of a thousand and one members the last is counted, also when all of them are known."""
    body = f"[{','.join([MEMBER % 7] * (MAX_ENTRIES + 1))}]".encode()
    remembered = Remembered()
    assert brought(f"[{MEMBER % 8}]".encode(), remembered) != brought(body, remembered)
    assert brought(body, remembered) == brought(body, None)


def test_what_is_remembered_is_bounded() -> None:
    """A flood of distinct bodies and members cannot make what is remembered grow past its budget."""
    remembered = Remembered()
    kept = []
    for number in range(12_000):
        text = BODY % number
        body = f'[{{"age":1,{text},"type":"csp-violation"}}]' if number % 2 else f'{{{text},"type":"csp-violation"}}'
        assert remembered.arrived(body.encode(), user_agent=None, project="default", now=0).reports
        kept.append(remembered._bytes)

    assert max(kept) <= remembered.BYTES
    held = len(remembered._bodies) + sum(map(len, remembered._members.values()))
    assert held * remembered.OVERHEAD <= remembered.BYTES


def test_nothing_is_remembered_for_long() -> None:
    """Raw bodies hold what is never stored, such as queries: ten minutes later they are gone."""
    body, remembered = payload("chromium-legacy-image"), Remembered()
    before = remembered.arrived(body, user_agent=CHROME, project="default", now=0)
    later = remembered.arrived(body, user_agent=CHROME, project="default", now=remembered.KEPT_MS)
    assert later == before
    assert later is not before
