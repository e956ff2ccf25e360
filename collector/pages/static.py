"""Static files out: by look-up, with the right type, and kept by the browser for as long as their content stands."""

from __future__ import annotations

from aiohttp import ETag, web

from collector.pages.assets import FOREVER, Asset
from collector.pages.page import PAGES
from collector.serve import accept


async def get_static(request: web.Request) -> web.Response:
    """The file at this address; 304 when the browser has it; 404 for any address that no page links to."""
    found = request.app[PAGES].assets.at(request.path)
    if found is None:
        raise web.HTTPNotFound
    known = request.if_none_match or ()
    unchanged = any(tag.value in ("*", found.digest) for tag in known)
    response = web.Response(status=304) if unchanged else await _whole(request, found)
    response.etag = ETag(found.digest, is_weak=True)  # weak: the same file goes out plain and compressed
    response.headers["Cache-Control"] = FOREVER
    response.headers["Vary"] = "Accept-Encoding"  # or a cache gives what is compressed to who cannot read it
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


async def _whole(request: web.Request, asset: Asset) -> web.Response:
    headers = {"Content-Type": f"{asset.content_type}; charset=utf-8"}
    if accept.quality(request.headers.get("Accept-Encoding", ""), "gzip", "x-gzip") == 0:
        return web.Response(body=asset.body, headers=headers)
    body = await request.app[PAGES].assets.gzipped(asset)
    return web.Response(body=body, headers=headers | {"Content-Encoding": "gzip"})
