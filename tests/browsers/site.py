"""A site on loopback that breaks its own policy in every way we know, and a second origin that it may not use."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.certificates import Pair

POLICY = (
    "default-src 'none'; script-src 'self' 'report-sample'; style-src 'self' 'report-sample'; img-src 'self'; font-src 'self';"
    " connect-src 'self'; frame-src 'self'; object-src 'none'; media-src 'self'; worker-src 'self'; base-uri 'self';"
    " form-action 'self'"
)

# What stands in the markup is reported by the parser, what stands in the script by the engine.
# The object has no type: Firefox asks no policy about a type that it cannot show anyway.
PAGE = """<!doctype html>
<title>broken</title>
<link rel="stylesheet" href="{other}/style.css">
<style>body{{color:red}}</style>
<body>
<p style="color:blue">text</p>
<button onclick="clicked()">button</button>
<script>window.inlined = 1</script>
<script src="{other}/evil.js"></script>
<img src="{other}/pixel.gif?visitor=jo@shop.example" alt="">
<img src="data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==" alt="">
<iframe src="{other}/frame?token=secret"></iframe>
<object data="{other}/movie"></object>
<video src="{other}/film.mp4"></video>
<form id="form" action="{other}/subscribe" method="post"></form>
<script src="/page.js"></script>
"""

SCRIPT = """const other = "{other}";
const tried = (attempt) => {{ try {{ attempt(); }} catch (refused) {{ console.log(refused.name); }} }};
tried(() => eval("1+1"));
tried(() => new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])));
tried(() => new WebSocket(other.replace("http", "ws") + "/socket"));
tried(() => new Worker(URL.createObjectURL(new Blob(["1"]))));
fetch(other + "/api?token=secret").catch(() => 0);
new FontFace("other", "url(" + other + "/font.woff2)").load().catch(() => 0);
const base = document.createElement("base");
base.href = other + "/";
document.head.append(base);
fetch("{own}/last").then(() => document.getElementById("form").submit());
"""


@dataclass
class Site:
    """The two origins. ``page`` is the address to open; ``headers`` go with it and may be changed."""

    origin: str
    other: str
    headers: Mapping[str, str]
    # The form is the last thing that the page does. Where it may be sent the page is left, and takes along the reports that
    # have not been sent yet: a test may hold it back.
    may_send: asyncio.Event = field(default_factory=asyncio.Event)
    sent: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def page(self) -> str:
        """The address of the page, with a query that no violation may keep."""
        return f"{self.origin}/page?session=secret"

    @property
    def provoked(self) -> set[tuple[str, str, str | None]]:
        """Every violation: effective directive, kind and origin of what is blocked."""
        outside = {(directive, "origin", self.other) for directive in OUTSIDE}
        inline = {(directive, "inline", None) for directive in INLINE}
        socket = self.other.replace("http", "ws")
        local = {("img-src", "scheme", "data:"), ("worker-src", "scheme", "blob:"), ("connect-src", "origin", socket)}
        return outside | inline | local | {("script-src", "eval", None), ("script-src", "wasm-eval", None)}


OUTSIDE = (
    "script-src-elem",
    "style-src-elem",
    "img-src",
    "connect-src",
    "font-src",
    "frame-src",
    "object-src",
    "media-src",
    "base-uri",
    "form-action",
)
INLINE = ("script-src-elem", "script-src-attr", "style-src-elem", "style-src-attr")


def by_report_uri(endpoint: str, policy: str = POLICY) -> dict[str, str]:
    """The headers that have ``policy`` reported as browsers did it first: a POST a violation."""
    return {"Content-Security-Policy": f"{policy}; report-uri {endpoint}"}


def by_report_to(endpoint: str, policy: str = POLICY) -> dict[str, str]:
    """The headers that have ``policy`` reported by the Reporting API alone, which works over https only."""
    return {"Content-Security-Policy": f"{policy}; report-to csp", "Reporting-Endpoints": f'csp="{endpoint}"'}


@asynccontextmanager
async def serve_site(headers: Mapping[str, str], pair: Pair | None = None) -> AsyncIterator[Site]:
    """Serve the page with ``headers``: over https with the certificate ``pair``, over plain http without one."""
    elsewhere, app = web.Application(), web.Application()

    async def subscribe(_request: web.Request) -> web.Response:
        site.sent.set()
        return web.Response(text="thank you")

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=PAGE.format(other=site.other), content_type="text/html", headers=site.headers)

    async def script(_request: web.Request) -> web.Response:
        return web.Response(text=SCRIPT.format(other=site.other, own=site.origin), content_type="text/javascript")

    async def last(_request: web.Request) -> web.Response:
        await site.may_send.wait()
        return web.Response()

    elsewhere.router.add_post("/subscribe", subscribe)  # all else on it is a 404
    app.router.add_get("/page", page)
    app.router.add_get("/page.js", script)
    app.router.add_get("/last", last)
    other, own = await _listen(elsewhere, pair), await _listen(app, pair)
    site = Site(_origin(own, pair), _origin(other, pair), headers)
    site.may_send.set()
    try:
        yield site
    finally:
        await own.cleanup()
        await other.cleanup()


async def _listen(app: web.Application, pair: Pair | None) -> web.AppRunner:
    context = None
    if pair is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.certificate, pair.key)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    return runner


def _origin(runner: web.AppRunner, pair: Pair | None) -> str:
    return f"{'http' if pair is None else 'https'}://127.0.0.1:{runner.addresses[0][1]}"
