"""/csp/ignore-rules: what is ignored from its first report on, why, and how much of it there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from collector.http.appkeys import NOW, STORE
from collector.http.writing import written
from collector.pages import units
from collector.pages.admission import OWNERS, READERS, form, shown_to
from collector.pages.csp_view import Filters
from collector.pages.page import PAGES
from collector.persist.csp_states import IgnoreRule, create_ignore_rule, delete_ignore_rule, list_ignore_rules
from collector.persist.meta import CANARY_PROJECT
from collector.persist.projects import list_projects, project_by_name
from collector.rollup.ignore_rules import Held, held
from collector.wire.errors import InvalidInput, NotFound
from collector.wire.identity import Role, User
from collector.wire.violations import NewIgnoreRule, Noise, State

PATH = "/csp/ignore-rules"
BAD_FORM = "The form cannot be used."
NO_RULE = "There is no such rule."
LONGEST_ID = 18  # digits: what both databases have as an id
FIELDS = NewIgnoreRule.__struct_fields__


class Rules(NamedTuple):
    """All rules with what each holds, and the names of projects by their ids."""

    rules: Sequence[IgnoreRule]
    held: Mapping[int, Held]
    projects: Mapping[int, str]


@shown_to(READERS)
async def get_rules(request: web.Request, user: User) -> web.Response:
    """The rules with what each has swallowed, the newest first, and the form for another one, filled from the address."""
    found = await request.app[STORE].read(_rules)
    given = {name: request.query.get(name, "") for name in FIELDS}
    context = rules_context(user, found, given, now=request.app[NOW]())
    return request.app[PAGES].response(request, "ignore_rules", context)


@shown_to(OWNERS)
async def post_rule(request: web.Request, user: User) -> web.Response:
    """Make the rule of the form, which needs a reason here: whoever finds it next has no other."""
    given = {name: text.strip() for name, text in (await form(request)).items()}
    try:
        new = msgspec.convert({name: given[name] for name in FIELDS if given.get(name)}, NewIgnoreRule)
    except msgspec.ValidationError as error:
        raise InvalidInput(BAD_FORM, str(error)) from error
    if not new.note:
        raise InvalidInput(BAD_FORM, "Say why, for whoever looks next.")
    if any("\0" in text for text in given.values()):  # PostgreSQL has no text with it
        raise InvalidInput(BAD_FORM, "It holds a character that no text has.")
    project = await request.app[STORE].read(partial(project_by_name, name=new.project)) if new.project else None
    make = partial(
        create_ignore_rule,
        project_id=project and project.id,
        effective_directive=new.directive,
        blocked_key=new.blocked,
        note=new.note,
        by=user.username,
        now=request.app[NOW](),
    )
    made = await written(request, make)
    return _back(f"#rule-{made.id}")


@shown_to(OWNERS)
async def post_rule_end(request: web.Request, _user: User) -> web.Response:
    """End a rule. What it has ignored stays so."""
    await form(request)
    given = request.match_info["id"]
    if not (given.isascii() and given.isdecimal() and len(given) <= LONGEST_ID):
        raise NotFound(NO_RULE)
    await written(request, partial(delete_ignore_rule, rule_id=int(given)))
    return _back("#rules")


def rules_context(viewer: User, found: Rules, given: Mapping[str, str], *, now: int) -> dict[str, Any]:
    """Everything that ``ignore_rules.html`` says; ``given`` is what its form begins with."""
    return {
        "viewer": viewer,
        "may_change": viewer.role is Role.OWNER,
        "given": given,
        "projects": [name for name in found.projects.values() if name != CANARY_PROJECT],
        "rules": [_shown(rule, found.held[rule.id], found.projects, now=now) for rule in reversed(found.rules)],
    }


def _rules(store: Any) -> Rules:
    rules = list_ignore_rules(store)
    return Rules(rules, held(store, rules), {project.id: project.name for project in list_projects(store)})


def _shown(rule: IgnoreRule, holds: Held, names: Mapping[int, str], *, now: int) -> dict[str, Any]:
    project = names[rule.project_id] if rule.project_id is not None else ""
    asked = Filters(state=State.IGNORED.value, noise=Noise.INCLUDE.value, project=project, text=(rule.blocked_key or "")[:200])
    return {
        "id": rule.id,
        "directive": rule.effective_directive,
        "blocked": rule.blocked_key,
        "project": project,
        "note": rule.note,
        "by": rule.created_by,
        "at": units.moment(rule.created_at, now=now),
        "violations": holds.violations,
        "reports": holds.reports,
        "last_seen": None if holds.last_seen is None else units.moment(holds.last_seen, now=now),
        "href": asked._replace(directive=rule.effective_directive or "").href(),
    }


def _back(anchor: str) -> web.Response:
    return web.Response(status=303, headers={"Location": f"{PATH}{anchor}", "Cache-Control": "no-store"})
