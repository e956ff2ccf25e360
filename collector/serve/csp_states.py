"""What people decide about violations: states one by one or in bulk, and rules for what is ignored from the first."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from collector.http.appkeys import NOW, STORE
from collector.http.errors import json_response
from collector.http.guard import user_of
from collector.http.operation import Operation, Param
from collector.http.writing import written
from collector.persist.csp_states import IgnoreRule, create_ignore_rule, delete_ignore_rule, list_ignore_rules, set_state
from collector.persist.projects import list_projects, project_by_name
from collector.rollup.violation_list import time
from collector.rollup.violations import find
from collector.serve.csp import ID
from collector.serve.params import json_body
from collector.wire.errors import NotFound
from collector.wire.violations import Changed, IgnoreRules, IgnoreRuleShown, NewIgnoreRule, NewState, NewStates, Violation

LARGEST_ID = 2**63 - 1
RULE = Param("id", "the `id` of a rule", {"type": "integer"})


@Operation(answer=Violation, path=(ID,), body=NewState, refuses=(NotFound,))
async def patch_violation(request: web.Request) -> web.Response:
    """Give one violation a state."""
    by, new, now = user_of(request).username, await json_body(request, NewState), request.app[NOW]()
    fingerprint = request.match_info["id"]
    await request.app[STORE].read(partial(find, fingerprint=fingerprint, now=now))
    await written(request, lambda c: set_state(c, [fingerprint], new.state, by=by, now=now, note=new.note))
    return json_response(await request.app[STORE].read(partial(find, fingerprint=fingerprint, now=now)))


@Operation(answer=Changed, body=NewStates)
async def post_states(request: web.Request) -> web.Response:
    """Give up to 1,000 violations a state, and say how many were in another."""
    by, new, now = user_of(request).username, await json_body(request, NewStates), request.app[NOW]()
    ids = sorted({name for name in new.ids if name.isascii() and name.isalnum()})
    changed = await written(request, lambda c: set_state(c, ids, new.state, by=by, now=now, note=new.note))
    return json_response(Changed(changed))


@Operation(answer=IgnoreRules)
async def get_ignore_rules(request: web.Request) -> web.Response:
    """The rules by which violations are ignored from their first report on, oldest first."""
    rules, projects = await request.app[STORE].read(lambda c: (list_ignore_rules(c), list_projects(c)))
    names = {project.id: project.name for project in projects}
    return json_response(IgnoreRules([_shown(rule, names) for rule in rules]))


@Operation(answer=IgnoreRuleShown, status=201, body=NewIgnoreRule, refuses=(NotFound,))
async def post_ignore_rule(request: web.Request) -> web.Response:
    """Make a rule: what matches is ignored from its first report on, and so is what nobody has decided on yet."""
    by, new, now = user_of(request).username, await json_body(request, NewIgnoreRule), request.app[NOW]()
    project = await request.app[STORE].read(partial(project_by_name, name=new.project)) if new.project else None
    rule = await written(
        request,
        partial(
            create_ignore_rule,
            project_id=project and project.id,
            effective_directive=new.directive or None,
            blocked_key=new.blocked or None,
            note=new.note,
            by=by,
            now=now,
        ),
    )
    return json_response(_shown(rule, {project.id: project.name} if project else {}), 201)


@Operation(status=204, path=(RULE,), refuses=(NotFound,))
async def delete_rule(request: web.Request) -> web.Response:
    """End a rule. What it has ignored stays so."""
    given = request.match_info["id"]
    # Python reads no number of more than 4,300 digits: how many there are is looked at first.
    if not given.isascii() or not given.isdecimal() or len(given) > len(str(LARGEST_ID)) or int(given) > LARGEST_ID:
        raise NotFound("There is no such rule.")
    await written(request, partial(delete_ignore_rule, rule_id=int(given)))
    return web.Response(status=204)


def _shown(rule: IgnoreRule, names: dict[int, str]) -> IgnoreRuleShown:
    return IgnoreRuleShown(
        id=rule.id,
        project=None if rule.project_id is None else names[rule.project_id],
        directive=rule.effective_directive,
        blocked=rule.blocked_key,
        note=rule.note,
        created_at=time(rule.created_at),
        created_by=rule.created_by,
    )
