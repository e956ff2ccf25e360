"""The files that pages load: a closed list, read once at start, each under an address that changes with its content."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from importlib import resources
from typing import NamedTuple

PREFIX = "/static/"
# Only what stands here is ever served: an address is looked up, never turned into a path.
CONTENT_TYPES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "setup.js": "text/javascript",
    "mark.svg": "image/svg+xml",
    "swagger.js": "text/javascript",
    "vendor/swagger-ui/LICENSE": "text/plain",
    "vendor/swagger-ui/NOTICE": "text/plain",
    "vendor/swagger-ui/swagger-ui.css": "text/css",
    "vendor/swagger-ui/swagger-ui-bundle.js": "text/javascript",
    "vendor/swagger-ui/swagger-ui-bundle.js.LICENSE.txt": "text/plain",
    "vendor/uplot/uPlot.min.css": "text/css",
    "vendor/uplot/uPlot.iife.min.js": "text/javascript",
    "vendor/uplot/LICENSE": "text/plain",
}
FOREVER = "public, max-age=31536000, immutable"  # another content has another address


class Asset(NamedTuple):
    """One file: its bytes, their type, and the hash that is part of its address."""

    body: bytes
    content_type: str
    digest: str


class Assets:
    """Every static file, by the address that pages use for it."""

    def __init__(self, files: dict[str, bytes]) -> None:
        digests = {name: hashlib.sha256(body).hexdigest()[:16] for name, body in files.items()}
        self._urls = {name: f"{PREFIX}{digest}/{name}" for name, digest in digests.items()}
        self._by_url = {self._urls[name]: Asset(body, CONTENT_TYPES[name], digests[name]) for name, body in files.items()}
        self._gzipped: dict[str, asyncio.Future[bytes]] = {}

    def url(self, name: str) -> str:
        """The address of the file ``name``; a KeyError for a name that is not on the list."""
        return self._urls[name]

    def at(self, url: str) -> Asset | None:
        """The file at an address, or None; the hash in it has to be right."""
        return self._by_url.get(url)

    async def gzipped(self, asset: Asset) -> bytes:
        """The body of ``asset`` with gzip: made once, on a thread, when somebody first asks for it.

        Swagger UI's 1.7 MB take 60 ms, which anybody could have had done again and again.
        """
        made = self._gzipped.get(asset.digest)
        if made is None:
            made = self._gzipped[asset.digest] = asyncio.ensure_future(asyncio.to_thread(gzip.compress, asset.body, 9, mtime=0))
        return await asyncio.shield(made)


def load_assets() -> Assets:
    """Read every file of the closed list from the package."""
    root = resources.files("collector.pages") / "static"
    return Assets({name: root.joinpath(*name.split("/")).read_bytes() for name in CONTENT_TYPES})
