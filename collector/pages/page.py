"""What every page has in common: its template, its strict policy, the address it is reached at."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import jinja2
from aiohttp import web

import collector
from collector.pages import units
from collector.pages.assets import Assets, load_assets
from collector.wire.errors import InvalidInput
from collector.wire.identity import Role

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
HOST = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104  # compared with, not listened on
LINKED = ("http", "https", "mailto")
LOOPBACK = ("127.0.0.1", "::1", "localhost")

HEADERS = {
    "Cache-Control": "no-store",  # a page shows what only its reader may see
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not no-referrer: with it a browser sends "Origin: null" with the sign-in form, which is then refused.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Section(NamedTuple):
    """A page of the navigation: who finds it there."""

    path: str
    label: str
    roles: frozenset[Role]


_READERS = frozenset({Role.OWNER, Role.AUDITOR})
SECTIONS = (
    Section("/", "Overview", _READERS),
    Section("/csp", "Violations", frozenset(Role)),
    Section("/csp/policy", "Policy", frozenset(Role)),
    Section("/csp/noise", "Noise", _READERS),
    Section("/aibridge", "AI usage", _READERS),
    Section("/setup", "Setup", _READERS),
)


class Pages:
    """Templates and static files, loaded once at start.

    ``access_url`` is where people and browsers reach the collector, for an instance behind a proxy; without it the
    request's own scheme and host are taken. ``metrics_url`` is the address of the Prometheus listener, None when it is off.
    ``links`` are names and targets for the foot of every page; one that a browser could run instead of visiting is left out.
    ``swagger`` says whether the documentation of the API is one of the pages. ``report_key`` is the browser key under which
    the pages' own violations are reported; None: they are not.
    """

    def __init__(
        self,
        *,
        access_url: str | None = None,
        metrics_url: str | None = None,
        links: Iterable[tuple[str, str]] = (),
        swagger: bool = False,
        report_key: str | None = None,
    ) -> None:
        self.swagger = swagger
        # Relative, and by report-uri alone, which every browser knows where report-to is not offered: so it leads here behind
        # every proxy, over http too.
        self._reporting = f"; report-uri /csp/reports?key={report_key}" if report_key else ""
        self.assets: Assets = load_assets()
        self._access_url = access_url.rstrip("/") if access_url else None
        self._metrics_url = metrics_url
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("collector.pages"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(count=units.count, short=units.short)
        shown = [(name or target, target) for name, target in links if urlsplit(target).scheme in LINKED]
        self._templates.globals.update(asset=self.assets.url, version=collector.__version__, links=shown, sections=SECTIONS)

    def base_url(self, request: web.Request) -> str:
        """Scheme and host under which this request's sender reaches the collector, without a slash at the end.

        Raises:
            InvalidInput: when that is to be taken from a Host header that names no host.
        """
        if self._access_url:
            return self._access_url
        if not HOST.fullmatch(request.host):
            raise InvalidInput("The Host header names no host.")
        return f"{request.scheme}://{request.host}"

    def metrics_link(self, request: web.Request) -> str:
        """Where this request's sender can read the metrics.

        That is the Prometheus listener, if it can be reached from there; else our own ``/metrics``, for who is signed in.
        """
        listener, viewer = urlsplit(self._metrics_url or ""), urlsplit(self.base_url(request)).hostname or ""
        if listener.hostname in EVERY_ADDRESS:
            host = f"[{viewer}]" if ":" in viewer else viewer
            return f"http://{host}:{listener.port}{listener.path}"
        if not self._metrics_url or (listener.hostname in LOOPBACK and viewer not in LOOPBACK):
            return "/metrics"
        return self._metrics_url

    def html(self, template: str, context: dict[str, Any]) -> str:
        """The template ``template``.html filled with ``context``; every value comes out as text, never as markup."""
        return self._templates.get_template(f"{template}.html").render(context)

    def response(self, request: web.Request, template: str, context: dict[str, Any], *, status: int = 200) -> web.Response:
        """A page as the answer to ``request``, under the strict policy."""
        text = self.html(template, {"metrics_url": self.metrics_link(request), "path": request.path, **context})
        return web.Response(text=text, status=status, content_type="text/html", headers=self.headers())

    def headers(self, policy: str = POLICY) -> dict[str, str]:
        """The headers of a page under ``policy``, whose violations are reported to this service itself."""
        return {**HEADERS, "Content-Security-Policy": f"{policy}{self._reporting}"}


PAGES: web.AppKey[Pages] = web.AppKey("pages", Pages)
