"""Static files out: by look-up, with the right type, and kept by the browser for as long as their content stands."""

from __future__ import annotations

from aiohttp import ETag, web

from collector.pages.assets import FOREVER, Asset
from collector.pages.page import PAGES

COMPRESSED_INLINE = 100_000  # bytes


async def get_static(request: web.Request) -> web.Response:
    """The file at this address; 304 when the browser has it; 404 for any address that no page links to."""
    found = request.app[PAGES].assets.at(request.path)
    if found is None:
        raise web.HTTPNotFound
    known = request.if_none_match or ()
    unchanged = any(tag.value in ("*", found.digest) for tag in known)
    response = web.Response(status=304) if unchanged else _whole(found)
    if not unchanged:
        response.charset = "utf-8"
        response.enable_compression()
    response.etag = ETag(found.digest, is_weak=True)  # weak: the same file goes out plain and compressed
    response.headers["Cache-Control"] = FOREVER
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


def _whole(asset: Asset) -> web.Response:
    # Swagger UI's 1.7 MB take 60 ms to compress: what is large is compressed on a thread.
    return web.Response(body=asset.body, content_type=asset.content_type, zlib_executor_size=COMPRESSED_INLINE)
