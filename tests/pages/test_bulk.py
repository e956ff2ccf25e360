"""Several violations decided on with one form: all of them or none, and the page says what changed."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
from sqlalchemy import select

from collector.pages.csp_view import PAGE
from collector.persist.tables import violation_audit, violations
from collector.wire.identity import Role
from tests.pages.conftest import Site
from tests.pages.test_csp import FORM

IDS = [f"{number:032x}" for number in range(4)]


async def filled(site: Site, count: int = 4, role: Role = Role.OWNER) -> None:
    """So many open violations, and somebody signed in."""
    await site.sign_in(role)
    for number in range(count):
        await site.violation(ranked_count=100 - number)


async def states(site: Site) -> list[str]:
    """The state of each violation, in the order in which they were made."""
    ordered = select(violations.c.state).order_by(violations.c.fingerprint)
    return await site.store.read(lambda c: list(c.scalars(ordered)))


async def sent(site: Site, form: dict[str, str | list[str]], path: str = "/csp", **headers: str) -> tuple[int, str]:
    """Status and target or text of what a browser gets for the form."""
    body = urlencode(form, doseq=True)
    async with site.client.post(path, data=body, headers={**FORM, **headers}, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Location") or await answer.text()


async def test_the_chosen_ones_change_and_the_page_says_so(site: Site) -> None:
    """Those and no others, each with a record of who did it and why; the list keeps its filters."""
    await filled(site)

    status, target = await sent(site, {"id": IDS[1:3], "state": "ignored", "note": "a tag"}, "/csp?sort=last_seen")

    assert (status, target) == (303, "/csp?sort=last_seen&changed=2&to=ignored#done")
    assert await states(site) == ["open", "ignored", "ignored", "open"]
    audit = violation_audit.c
    told = await site.store.read(lambda c: c.execute(select(audit.state_by, audit.new_state, audit.note)).all())
    assert [tuple(row) for row in told] == [("a-owner", "ignored", "a tag")] * 2
    assert "2 violations are now ignored." in await site.page(target)


async def test_all_on_the_page_are_those_that_it_showed(site: Site) -> None:
    """The form names what stood on the page, so what has come since stays as it is."""
    await filled(site)
    page = await site.page("/csp")
    shown = re.findall(r'name="shown" value="(\w+)"', page)
    await site.violation(ranked_count=1_000)

    status, _ = await sent(site, {"shown": shown, "id": IDS[:1], "all": "1", "state": "resolved"})

    assert status == 303
    assert await states(site) == ["resolved"] * 4 + ["open"]


async def test_one_that_is_gone_leaves_all_as_they_were(site: Site) -> None:
    """All or nothing: no half of a decision is stored, and the refusal says so."""
    await filled(site)

    status, text = await sent(site, {"id": [*IDS, "f" * 32], "state": "ignored"})

    assert status == 404
    assert "nothing was changed" in text
    assert await states(site) == ["open"] * 4


@pytest.mark.parametrize(
    "form",
    [
        {"state": "ignored"},
        {"all": "1", "state": "ignored"},
        {"id": IDS},
        {"id": IDS, "state": "gone"},
        {"id": IDS, "state": "ignored", "note": "x" * 1_001},
        {"id": [*IDS, "\0"], "state": "ignored"},
        {"id": [f"{number:032x}" for number in range(PAGE + 1)], "state": "ignored"},
    ],
)
async def test_a_form_that_cannot_be_used_changes_nothing(site: Site, form: dict[str, str | list[str]]) -> None:
    """Nothing chosen, no state or none that exists, a note too long, no fingerprint, or more than a page holds."""
    await filled(site)
    status, text = await sent(site, form)
    assert status == 400
    assert "That did not work" in text
    assert await states(site) == ["open"] * 4


async def test_another_site_and_an_auditor_change_nothing(site: Site) -> None:
    """The form of another site is refused with the owner's cookie, ours with an auditor's, who is not shown it either."""
    await filled(site)
    form: dict[str, str | list[str]] = {"id": IDS, "state": "ignored"}
    assert (await sent(site, form, **{"Sec-Fetch-Site": "cross-site"}))[0] == 403
    await site.sign_in(Role.AUDITOR)
    assert (await sent(site, form))[0] == 403
    assert 'name="shown"' not in await site.page("/csp")
    assert await states(site) == ["open"] * 4


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("changed=1&to=open", "1 violation is now open."),
        ("changed=0&to=resolved", "Nothing changed: what was chosen is resolved already."),
        ("changed=99&to=ignored", f"{PAGE} violations are now ignored."),
    ],
)
async def test_the_address_says_what_changed(site: Site, query: str, words: str) -> None:
    """In whole sentences, and never more than a form can have done."""
    await site.sign_in()
    assert words in await site.page(f"/csp?{query}")


@pytest.mark.parametrize(
    "query", ["changed=x&to=open", "changed=1&to=gone", "changed=-1&to=open", "changed=%C2%B2&to=open", "to=open"]
)
async def test_an_address_that_no_form_led_to_says_nothing(site: Site, query: str) -> None:
    """What is no number or no state is not repeated."""
    await site.sign_in()
    assert 'id="done"' not in await site.page(f"/csp?{query}")
