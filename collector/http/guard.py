"""The gate of every route: who is calling, whether they may, and whether they have called too often."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from collector.http.access import FORBIDDEN, Access, authorize
from collector.http.auth import TOKEN_NAME, Credentials, session_token
from collector.http.limits import Budget, Decision, SlidingWindow, address_identity
from collector.http.meter import UNKNOWN_ROUTE
from collector.http.operation import Handler, Route
from collector.wire.errors import BypassRefused, Forbidden, Unauthorized
from collector.wire.identity import Agent, Caller, IngestKey, Role, Scope, User

CALLER: web.RequestKey[Caller | None] = web.RequestKey("caller", object)  # type: ignore[arg-type]
RATE: web.RequestKey[Decision] = web.RequestKey("rate", Decision)

BYPASS = "X-Coder-Bypass-Ratelimit"
TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})  # what Go's ParseBool takes
API = "/api/"
READING = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
FOREIGN_SITE = "The request carries a cookie, but comes from another site. Send the token in a header."


def user_of(request: web.BaseRequest) -> User:
    """The user who called a route that only users may call."""
    caller = request[CALLER]
    if not isinstance(caller, User):
        raise TypeError("the route lets in who is no user")
    return caller


def came_from_here(request: web.BaseRequest) -> bool:
    """Whether a request was sent by one of our own pages, so that no other site acts with a visitor's cookie.

    Browsers say so in ``Sec-Fetch-Site``, and over plain http, where that header is not sent, in ``Origin``. Its scheme
    is not compared: behind a proxy that ends TLS the browser's https is our http. A sender of neither is no browser of
    the last ten years.
    """
    if site := request.headers.get("Sec-Fetch-Site"):
        return site == "same-origin"
    try:
        host = urlsplit(request.headers.get("Origin", "")).netloc
    except ValueError:  # a host in brackets that is no address
        return False
    return host != "" and host == request.host


class Guard:
    """Admits requests.

    A valid ingest key is outside the request limit, since a whole site sits behind one proxy: it has a budget of its own.
    Everybody else is limited per route: a user by its id, the rest by address, refused ones among them. Behind an address
    past its limit there may be others with a good key or token, so theirs are still looked up, as many as ``lookups``
    allows: all such addresses together make no more work for the store than that. An owner may ask to be let past the limit.

    Args:
        credentials: who is who.
        window: the limit of requests; None: there is none.
        address: the client address of a request, behind trusted proxies too.
        lookups: of credentials that are not remembered, from all addresses past their limit.
    """

    def __init__(
        self,
        credentials: Credentials,
        window: SlidingWindow | None,
        *,
        address: Callable[[web.BaseRequest], str],
        lookups: Budget,
    ) -> None:
        self._credentials = credentials
        self._window = window
        self._address = address
        self._lookups = lookups

    async def admit(self, request: web.BaseRequest, access: Access, route: str, scope: Scope | None = None) -> Caller | None:
        """The caller, who may call ``route``; None when everybody may.

        Raises:
            RateLimited: too many requests within a minute.
            BypassRefused: a user who is no owner asked to be let past that limit.
            Forbidden: a page of another site asks for more than reading, with the cookie of whoever looks at it.
            Unauthorized, Forbidden, Overloaded: as :func:`~collector.http.access.authorize` says.
        """
        try:
            before_lookup = partial(self._before_lookup, request, route)
            caller = await authorize(request, access, self._credentials, before_lookup, scope=scope)
            _check_sender(request, caller)
        except (Unauthorized, Forbidden):
            self._count(request, address_identity(self._address(request)), route)
            raise
        if isinstance(caller, IngestKey) or await self._may_bypass(request, caller, route):
            return caller
        self._count(request, _identity(caller) or address_identity(self._address(request)), route)
        return caller

    def handler(self, route: Route) -> Handler:
        """The handler of ``route`` behind this gate; it finds the caller at ``request[CALLER]``."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            request[CALLER] = await self.admit(request, route.access, route.path, route.scope)
            return await route.handler(request)

        return guarded

    async def _may_bypass(self, request: web.BaseRequest, caller: Caller | None, route: str) -> bool:
        """Whether ``caller``, or on a public route whoever the token says it is, goes past the limit."""
        if request.headers.get(BYPASS) not in TRUE:
            return False
        if caller is None:
            try:
                caller = await self._credentials.user(session_token(request), partial(self._before_lookup, request, route))
            except Unauthorized:
                return False
        if isinstance(caller, User) and caller.role is not Role.OWNER:
            raise BypassRefused(f'"{BYPASS}" provided but user is not owner')
        return True

    def _before_lookup(self, request: web.BaseRequest, route: str) -> None:
        if self._window is None:
            return
        exhausted = self._window.exhausted(address_identity(self._address(request)), route)
        if exhausted is not None and not self._lookups.take("", 1):
            request[RATE] = exhausted
            raise exhausted.refusal()

    def _count(self, request: web.BaseRequest, identity: str, route: str) -> None:
        if self._window is None:
            return
        decision = self._window.take(identity, route)
        request[RATE] = decision
        if not decision.allowed:
            raise decision.refusal()


def _check_sender(request: web.BaseRequest, caller: Caller | None) -> None:
    if not isinstance(caller, User) or request.method in READING or not request.cookies.get(TOKEN_NAME):
        return
    if not came_from_here(request):
        raise Forbidden(FORBIDDEN, FOREIGN_SITE)


def _identity(caller: Caller | None) -> str | None:
    """What a caller counts as; None: as its address."""
    if isinstance(caller, Agent):
        return caller.agent_id
    return caller.id if isinstance(caller, User) else None


def unmatched(guard: Guard, groups: Sequence[str]) -> Middleware:
    """Counts requests of the API that match no route; below ``groups`` only the signed in learn that they match none."""

    @web.middleware
    async def judge(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.match_info.http_exception is not None and request.path.startswith(API):
            group = next((group for group in groups if f"{request.path}/".startswith(f"{group}/")), None)
            await guard.admit(request, Access.SIGNED_IN if group else Access.PUBLIC, group or UNKNOWN_ROUTE)
        return await handler(request)

    return judge
