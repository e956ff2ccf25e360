"""/aibridge/usage: what models were used for, by whom, and what it cost."""

from __future__ import annotations

from typing import NamedTuple

from aiohttp import web

from collector.http.appkeys import STORE
from collector.http.errors import json_response
from collector.http.operation import Operation, Param
from collector.persist.deployments import is_deployment
from collector.rollup.aibridge import has_usage, usage
from collector.rollup.prices import PriceList
from collector.serve import params
from collector.serve.deployment import deployment_of
from collector.wire.aibridge_usage import GroupKey, UsageQuery, UsageReport
from collector.wire.errors import NotFound

FIRST_MS, LAST_MS = 0, 253_402_300_800_000  # from 1970 to the end of the year 9999


class Prices(NamedTuple):
    """The operator's price list, if there is one."""

    list: PriceList | None


PRICES: web.AppKey[Prices] = web.AppKey("prices", Prices)


QUERY = (
    Param(
        "group_by", f"some of {', '.join(f'`{key}`' for key in GroupKey)}, joined by commas", {"type": "string"}, "one group"
    ),
    Param("from", "when interceptions started: RFC 3339, or seconds since the epoch", params.MOMENT, "all that are kept"),
    Param("to", "the end, this moment left out", params.MOMENT, "all that are kept"),
    Param("deployment", "the id of a deployment", {"type": "string"}, "all"),
)


@Operation(answer=UsageReport, query=QUERY, refuses=(NotFound,))
async def get_usage(request: web.Request) -> web.Response:
    """What models were used for and what it cost, by group and in all, of the interceptions that are kept."""
    since = params.moment(request, "from", FIRST_MS)
    until = params.moment(request, "to", LAST_MS)
    query = UsageQuery(since, until, _group_by(request), await _deployment(request))
    prices = request.app[PRICES].list
    return json_response(await request.app[STORE].read(lambda connection: usage(connection, query, prices)))


async def _deployment(request: web.Request) -> str | None:
    """The deployment that the request names; None when it names none, and so means all.

    Raises:
        NotFound: no deployment has the id that it names.
    """
    named = request.query.get("deployment", "")
    if not named:
        return None
    if is_deployment(named) and await request.app[STORE].read(lambda connection: has_usage(connection, named)):
        return named
    return await deployment_of(request)  # which knows those of which there are stats


def _group_by(request: web.Request) -> tuple[GroupKey, ...]:
    names = [name for name in request.query.get("group_by", "").split(",") if name]
    try:
        return tuple(dict.fromkeys(GroupKey(name) for name in names))
    except ValueError:
        raise params.invalid("group_by", f"must be some of {', '.join(GroupKey)}, joined by commas") from None
