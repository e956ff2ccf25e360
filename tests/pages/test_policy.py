"""The form of the advice: how long ago, and what is listed only when somebody asks for it."""

from __future__ import annotations

import re

import pytest

from collector.wire.policy import Allow
from tests.pages.conftest import DAY, MOMENT, Site

ENOUGH = "reports=0&clients=0&days=0"


def suggested(page: str) -> str:
    """The policy that the page suggests."""
    found = re.search(r'<pre id="suggestion"[^>]*>([^<]*)<', page)
    assert found is not None
    return found[1].replace("&#39;", "'")


async def test_what_was_seen_last_before_the_range_counts_for_nothing(site: Site) -> None:
    """The advice is worked out from the violations that were seen in it, and the page says how many those are."""
    await site.sign_in()
    await site.violation(blocked_origin="https://new.example", blocked_key="https://new.example")
    await site.violation(blocked_origin="https://old.example", blocked_key="https://old.example", last_seen=MOMENT - 8 * DAY)

    ever, week = await site.page(f"/csp/policy?{ENOUGH}"), await site.page(f"/csp/policy?{ENOUGH}&seen=7d")

    assert "https://old.example" in suggested(ever)
    assert "https://new.example" in suggested(week)
    assert "https://old.example" not in week
    assert "1 violation that is no noise, seen in the last 7 days." in week
    assert '<option value="7d" selected>' in week


@pytest.mark.parametrize("given", ["allow=inline&allow=eval", "allow=inline,eval"])
async def test_what_is_allowed_is_listed(site: Site, given: str) -> None:
    """Each box that is ticked lists its keyword, none does by itself, and the form keeps what was ticked."""
    await site.sign_in()
    for kind in ("inline", "eval"):
        await site.violation(effective_directive="script-src", blocked_kind=kind, blocked_key=kind, blocked_origin=None)

    plain, ticked = await site.page(f"/csp/policy?{ENOUGH}"), await site.page(f"/csp/policy?{ENOUGH}&{given}")

    assert "'unsafe-" not in suggested(plain)
    assert "'unsafe-inline'" in suggested(ticked)
    assert "'unsafe-eval'" in suggested(ticked)
    assert re.findall(r'name="allow" value="(\w+)" checked', ticked) == ["inline", "eval"]
    assert re.findall(r'name="allow" value="(\w+)"', plain) == [*map(str, Allow)]


async def test_a_choice_that_does_not_exist_is_refused(site: Site) -> None:
    """As the API refuses it; a range that is none counts as none."""
    await site.sign_in()
    await site.violation()
    async with site.client.get("/csp/policy?allow=everything") as answer:
        assert answer.status == 400
    assert '<option value="" selected>Ever' in await site.page("/csp/policy?seen=9y")


async def test_a_policy_that_stays_says_why(site: Site) -> None:
    """Where nothing is suggested the page names what a source would need; where something is, it says nothing of it."""
    await site.sign_in()
    await site.violation(blocked_origin="https://new.example", blocked_key="https://new.example")

    assert "Nothing yet: no source has 9 reports, 8 clients and 7 days behind it" in " ".join(
        (await site.page("/csp/policy?reports=9&clients=8&days=7")).split()
    )
    assert "Nothing yet" not in await site.page(f"/csp/policy?{ENOUGH}")
