"""/aibridge: what models were used for, by whom, and what it cost."""

from __future__ import annotations

from aiohttp import web

from collector.http.appkeys import NOW, STORE
from collector.pages.admission import READERS, shown_to
from collector.pages.aibridge_view import Span, Usages, usage_context
from collector.pages.page import PAGES
from collector.rollup.aibridge import usage
from collector.serve.aibridge import PRICES
from collector.wire.aibridge_usage import GroupKey, UsageQuery
from collector.wire.identity import User

DAY_MS = 86_400_000
BREAKDOWNS = (GroupKey.PROVIDER, GroupKey.MODEL), (GroupKey.INITIATOR,), (GroupKey.DAY,)


@shown_to(READERS)
async def get_aibridge(request: web.Request, user: User) -> web.Response:
    """The use of models in whole days (UTC), by model, by user and by day."""
    app, now = request.app, request.app[NOW]()
    span = Span.named(request.query.get("range"))
    until = now - now % DAY_MS + DAY_MS
    since = until - span.days * DAY_MS
    queries = [UsageQuery(since, until, keys) for keys in BREAKDOWNS]
    prices = app[PRICES].list
    found = await app[STORE].read(lambda store: Usages(*(usage(store, query, prices) for query in queries)))
    return app[PAGES].response(request, "aibridge", usage_context(user, span, found, since=since, now=now))
