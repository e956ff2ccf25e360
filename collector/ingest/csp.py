"""POST /csp/reports: what browsers send, acknowledged once it is committed.

Every visitor of every site comes through here, so this door stands in front of the application's routing and middleware
(``docs/decisions/0004``). It does the same things they do, in the order that costs least.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from aiohttp import web
from multidict import CIMultiDict

from collector.http import body, meter
from collector.http.access import Access
from collector.http.answer import FixedAnswer
from collector.http.auth import Credentials
from collector.http.errors import error_response
from collector.http.guard import RATE, Guard
from collector.http.limits import Budget
from collector.http.operation import Operation
from collector.http.signature import SERVER
from collector.ingest.clients import Clients
from collector.normalize.csp import Arrived
from collector.normalize.remembered import Remembered
from collector.persist.sink import Sink
from collector.wire.csp import Entry
from collector.wire.errors import InvalidReport, Overloaded
from collector.wire.identity import IngestKey, KeyKind
from collector.wire.records import CspIntake, DropReason

ROUTE = "/api/v2/csp/reports"
PATHS = (ROUTE, "/csp/reports")

# Chromium looks for these very words in the answer to its preflight; a "*" is no match for it.
PREFLIGHT_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Allow-Headers": "content-type",
    "Access-Control-Max-Age": "86400",
    "Server": SERVER,
    "X-Content-Type-Options": "nosniff",
}
ACKNOWLEDGED = b'"ok"\n'
MEDIA = ("application/csp-report", "application/reports+json", "application/json")  # as browsers say; nobody looks at it


@Operation()
async def preflight(_request: web.BaseRequest) -> web.StreamResponse:
    """Answer the OPTIONS request that comes before every cross-origin delivery of the Reporting API."""
    meter.count(ROUTE, "OPTIONS", 200)
    return web.Response(headers=PREFLIGHT_HEADERS)


class CspDoor:
    """The handler of POST on both paths.

    Args:
        sink: takes the intake; its answer is the promise behind the 200.
        credentials: knows the browser keys.
        guard: authorizes whoever comes without a known browser key: by session token, or not at all.
        budget: reports a minute and key; what exceeds it is counted as dropped.
        clients: marks of who sends.
        remembered: makes records of bodies, by the noise rules of this service.
        own: the key that stands for a signed-in user: project ``default`` of the collector's own deployment.
        now: milliseconds since the epoch.
        chance: a random number from 0 to below 1, for projects that keep a share of their reports.
        version: of the service, for ``X-Coder-Build-Version``.
    """

    def __init__(
        self,
        sink: Sink,
        credentials: Credentials,
        guard: Guard,
        budget: Budget,
        clients: Clients,
        remembered: Remembered,
        *,
        own: IngestKey,
        now: Callable[[], int],
        chance: Callable[[], float],
        version: str,
    ) -> None:
        self._sink = sink
        self._credentials = credentials
        self._guard = guard
        self._budget = budget
        self._clients = clients
        self._remembered = remembered
        self._own = own
        self._now = now
        self._chance = chance
        self._headers = CIMultiDict(
            {
                "Content-Type": "application/json; charset=utf-8",
                "Access-Control-Allow-Origin": "*",
                "Server": SERVER,
                "X-Content-Type-Options": "nosniff",
                "X-Coder-Build-Version": version,
            }
        )
        self._acknowledgement = FixedAnswer(ACKNOWLEDGED, self._headers, now)
        self._acknowledged = meter.REQUESTS.labels(ROUTE, "POST", "200")

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """Answer one request; nothing is raised but a cancellation."""
        try:
            await self._take(request)
        except Exception as error:  # noqa: BLE001 — error_response logs the unknown and shows nothing of it
            return self._refused(request, error)
        self._acknowledged.inc()
        return self._acknowledgement.to(request)

    async def _take(self, request: web.BaseRequest) -> None:
        key = self._known_key(request.raw_path) or await self._key(request)
        content = body.whole_report(request) or await body.read_report(request)
        now = self._now()
        arrived = self._remembered.arrived(content, user_agent=request.headers.get("User-Agent"), project=key.project, now=now)
        entries = len(arrived.reports) + len(arrived.others)
        if not (entries or arrived.drops):
            return
        allowed = self._allowed(key, entries)
        try:
            refusals = await self._sink.submit((self._intake(request, key, arrived, entries, allowed, now),))
        except Overloaded:
            self._give_back(key, allowed)
            raise
        if refusals:
            # The writer has logged the database's words, which are no business of a browser.
            raise InvalidReport("The report could not be stored.")

    def _known_key(self, raw_path: str) -> IngestKey | None:
        """The browser key of a URL in the form that is handed out, when it is in memory; None leaves it to :meth:`_key`."""
        query = raw_path.partition("?")[2]
        if not query.startswith("key="):
            return None
        key = self._credentials.known_key(query[4:])
        return key if key is not None and key.kind is KeyKind.BROWSER and not key.retired else None

    async def _key(self, request: web.BaseRequest) -> IngestKey:
        caller = await self._guard.admit(request, Access.CSP, ROUTE)
        return caller if isinstance(caller, IngestKey) else self._own

    def _allowed(self, key: IngestKey, entries: int) -> int:
        """How many entries the budgets of the key and of its project let pass."""
        allowed = self._budget.take(key.id, entries)
        if key.ingest_rate is not None:
            of_key, allowed = allowed, self._budget.take(_project(key), allowed, limit=key.ingest_rate)
            self._budget.give_back(key.id, of_key - allowed)
        return allowed

    def _give_back(self, key: IngestKey, allowed: int) -> None:
        self._budget.give_back(key.id, allowed)
        if key.ingest_rate is not None:
            self._budget.give_back(_project(key), allowed, limit=key.ingest_rate)

    def _intake(
        self, request: web.BaseRequest, key: IngestKey, arrived: Arrived, entries: int, allowed: int, now: int
    ) -> CspIntake:
        """What is to be stored of ``entries``, of which the budget allows so many."""
        if key.allowed_origins is not None or allowed < entries or arrived.drops or key.sample_rate < 1:
            arrived = _sifted(arrived, key, allowed, self._chance)
        return CspIntake(
            project_id=key.project_id,
            deployment=key.deployment,
            received_at=now,
            reports=arrived.reports,
            fingerprints=arrived.fingerprints,
            drops=arrived.drops,
            others=arrived.others,
            client=self._clients.mark(request, now) if arrived.reports else None,
            ages=arrived.ages,
        )

    def _refused(self, request: web.BaseRequest, error: Exception) -> web.Response:
        response = error_response(error, request)
        response.headers.update({**self._headers, "Content-Type": response.headers["Content-Type"]})
        if RATE in request:
            response.headers.update(request[RATE].headers)
        meter.count(ROUTE, request.method, response.status)
        return response


DOOR: web.AppKey[CspDoor] = web.AppKey("csp_door", CspDoor)


@Operation(answer=str, body=Entry | list[Entry], body_media=MEDIA)
async def post_reports(request: web.Request) -> web.StreamResponse:
    """Take CSP reports. Once this is answered each of them is stored, or counted as dropped.

    Here comes what did not come by the door: it is let in by the same one.
    """
    response = await request.app[DOOR](request)
    # The middleware around this adds to the headers, which must not be those that everybody is answered with.
    return response.common() if isinstance(response, FixedAnswer) else response


def _project(key: IngestKey) -> str:
    """What the project of a key is called among the budgets; no key has an id like this."""
    return f"project {key.project_id}"


def _sifted(arrived: Arrived, key: IngestKey, allowed: int, chance: Callable[[], float]) -> Arrived:
    """``arrived`` without what its key may not bring: each entry left out is counted under its reason."""
    drops = Counter(dict(arrived.drops))
    origins, share = key.allowed_origins, key.sample_rate

    def kept(found: Iterable[str | None]) -> list[int]:
        """Which of the entries, by the origins of their documents, may pass."""
        nonlocal allowed
        entries = list(enumerate(found))
        affordable = entries[: max(0, allowed)]
        allowed -= len(entries)
        own = [entry for entry in affordable if origins is None or entry[1] in origins]
        sampled = own if share >= 1 else [entry for entry in own if chance() < share]
        drops[DropReason.OVER_BUDGET] += len(entries) - len(affordable)
        drops[DropReason.FOREIGN_ORIGIN] += len(affordable) - len(own)
        drops[DropReason.SAMPLED_OUT] += len(own) - len(sampled)
        return [at for at, _ in sampled]

    reports = kept(report.document_origin for report in arrived.reports)
    others = kept(other.document_origin for other in arrived.others)
    return Arrived(
        arrived.outcomes,
        tuple([arrived.reports[at] for at in reports]),
        tuple([arrived.fingerprints[at] for at in reports]),
        tuple([arrived.ages[at] for at in reports]) if arrived.ages else (),
        tuple((r, n) for r, n in drops.items() if n),
        tuple([arrived.others[at] for at in others]),
    )
