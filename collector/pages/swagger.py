"""/swagger: the API to look through and try out, when CODER_SWAGGER_ENABLE says so."""

from __future__ import annotations

from aiohttp import web

from collector.pages.page import PAGES

# Swagger UI writes HTML as text, which Trusted Types would refuse; all else is as strict as on every other page.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


async def get_swagger(request: web.Request) -> web.Response:
    """The documentation of the API as a page; 404 unless it is enabled."""
    pages = request.app[PAGES]
    if not pages.swagger:
        raise web.HTTPNotFound
    return web.Response(text=pages.html("swagger", {}), content_type="text/html", headers=pages.headers(POLICY))
