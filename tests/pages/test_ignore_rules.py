"""The page for ignore rules: what each holds, a new one with its reason, and its end."""

from __future__ import annotations

import re
from functools import partial
from urllib.parse import urlencode

import pytest

from collector.persist.csp_states import IgnoreRule, create_ignore_rule, list_ignore_rules
from collector.persist.projects import ensure_project
from collector.wire.identity import Role
from tests.pages.conftest import DAY, MINUTE, MOMENT, Site
from tests.pages.test_csp import FORM, state_of

PATH = "/csp/ignore-rules"
GONE = "https://gone.example"


async def sent(site: Site, form: dict[str, str], path: str = PATH, headers: dict[str, str] = FORM) -> tuple[int, str]:
    """Status and target or text of what a browser gets for the form."""
    async with site.client.post(path, data=urlencode(form), headers=headers, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Location") or await answer.text()


async def rules(site: Site) -> list[IgnoreRule]:
    """All that are stored."""
    return await site.store.read(list_ignore_rules)


async def rule(site: Site, project: int | None = None, directive: str | None = None, blocked: str | None = None) -> IgnoreRule:
    """A new rule for what of the three is given."""
    make = partial(create_ignore_rule, project_id=project, effective_directive=directive, blocked_key=blocked)
    return await site.store.transact(partial(make, note="a tag", by="ada", now=MOMENT))


def numbers(page: str, made: IgnoreRule) -> list[str]:
    """What the row of the rule says of violations and reports."""
    row = page[page.index(f'id="rule-{made.id}"') :]
    return re.findall(r'class="number[^>]*>(?:<a[^>]*>)?([^<]*)<', row[: row.index("</tr>")])


async def test_each_rule_says_what_it_has_swallowed(site: Site) -> None:
    """Violations that it fits and that nobody has touched since, with their reports, and when the newest came."""
    await site.sign_in()
    shop = await site.store.transact(partial(ensure_project, name="shop", now=MOMENT))
    gone = {"blocked_origin": GONE, "blocked_key": GONE}
    await site.violation(**gone, count=5, last_seen=MOMENT - 3 * MINUTE)
    await site.violation(**gone, count=7, project_id=shop.id, effective_directive="font-src")
    await site.violation(**gone, count=100, state="resolved", state_at=MOMENT - DAY, state_by="ada")
    await site.violation(count=1_000)
    everywhere = await rule(site, blocked=GONE)
    fonts = await rule(site, shop.id, directive="font-src")
    nothing = await rule(site, directive="media-src")

    page = await site.page(PATH)

    assert numbers(page, everywhere) == ["2", "12"]
    assert numbers(page, fonts) == ["1", "7"]
    assert numbers(page, nothing) == ["0", "0"]
    assert page.index(f'id="rule-{nothing.id}"') < page.index(f'id="rule-{everywhere.id}"')
    assert "in every project" in page
    assert "in shop" in page


async def test_a_rule_is_made_with_its_reason(site: Site) -> None:
    """The form leads back to the new rule, which has ignored what was open, and says who made it and why."""
    await site.sign_in()
    await site.violation(blocked_origin=GONE, blocked_key=GONE)

    status, target = await sent(
        site, {"project": "default", "directive": "", "blocked": f" {GONE} ", "note": "the tag is gone"}
    )

    [made] = await rules(site)
    assert (status, target) == (303, f"{PATH}#rule-{made.id}")
    assert (made.effective_directive, made.blocked_key, made.note, made.created_by) == (
        None,
        GONE,
        "the tag is gone",
        "a-owner",
    )
    assert await state_of(site.store, f"{0:032x}") == "ignored"
    assert "the tag is gone" in await site.page(PATH)


@pytest.mark.parametrize(
    ("form", "status", "words"),
    [
        ({"blocked": GONE}, 400, "Say why"),
        ({"blocked": GONE, "note": "  "}, 400, "Say why"),
        ({"note": "why"}, 400, "would ignore everything"),
        ({"blocked": GONE, "note": "x" * 1_001}, 400, "length"),
        ({"blocked": "x" * 2_049, "note": "why"}, 400, "length"),
        ({"blocked": "a\0b", "note": "why"}, 400, "character"),
        ({"blocked": GONE, "note": "why", "project": "gone"}, 404, "gone"),
    ],
)
async def test_a_form_that_cannot_be_used_makes_no_rule(site: Site, form: dict[str, str], status: int, words: str) -> None:
    """Without a reason, for everything, too long, or of a project that is not there: the refusal says which."""
    await site.sign_in()
    got, text = await sent(site, form)
    assert (got, await rules(site)) == (status, [])
    assert words in text


async def test_a_rule_is_ended(site: Site) -> None:
    """The rule is gone, what it has ignored stays so, and a second click finds none."""
    await site.sign_in()
    await site.violation(blocked_origin=GONE, blocked_key=GONE)
    made = await rule(site, blocked=GONE)

    assert await sent(site, {}, f"{PATH}/{made.id}") == (303, f"{PATH}#rules")
    assert await rules(site) == []
    assert await state_of(site.store, f"{0:032x}") == "ignored"
    for path in (made.id, "x", "9" * 30, "²"):
        assert (await sent(site, {}, f"{PATH}/{path}"))[0] == 404


async def test_others_read_or_are_refused(site: Site) -> None:
    """An auditor reads without a form, a member is refused the page, and neither they nor another site change a rule."""
    await site.sign_in()
    made = await rule(site, blocked=GONE)
    form = {"blocked": "inline", "note": "why"}
    foreign = {**FORM, "Sec-Fetch-Site": "cross-site"}
    for path in (PATH, f"{PATH}/{made.id}"):
        assert (await sent(site, form, path, foreign))[0] == 403
    for role, status in ((Role.AUDITOR, 200), (Role.MEMBER, 403)):
        await site.sign_in(role)
        async with site.client.get(PATH) as answer:
            assert answer.status == status
            assert f'action="{PATH}' not in await answer.text()
        for path in (PATH, f"{PATH}/{made.id}"):
            assert (await sent(site, form, path))[0] == 403
    assert await rules(site) == [made]


async def test_a_violation_leads_to_a_rule_for_its_like(site: Site) -> None:
    """The link fills the form with project, directive and what is blocked, as a rule names it."""
    await site.sign_in()
    await site.violation(blocked_origin=GONE, blocked_key=GONE)
    page = await site.page(f"/csp/violations/{0:032x}")
    [href] = re.findall(r'href="(/csp/ignore-rules\?[^"#]*)#add"', page)

    filled = await site.page(href.replace("&amp;", "&"))

    assert f'name="blocked" value="{GONE}"' in filled
    assert 'name="directive" value="img-src"' in filled
    assert "<option selected>default</option>" in filled
    assert f'href="{PATH}"' in await site.page("/csp")
