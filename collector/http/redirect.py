"""Sending people to the address that is meant for them. What brings data is taken wherever it arrives."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from collector.http.forwarded import Asked, asked_at

READING = ("GET", "HEAD")
PROBES = ("/healthz", "/readyz")  # a probe asks one instance, by whatever name it has there
PORTS = {"http": ":80", "https": ":443"}


def to_access_url(
    access_url: str, *, from_other_hosts: bool, from_http: bool, asked: Callable[[web.BaseRequest], Asked] = asked_at
) -> Middleware:
    """Answers what is asked for elsewhere with a 307 to the same path and query below ``access_url``.

    Args:
        access_url: where people are to be, http or https.
        from_other_hosts: whether a Host that is not that of ``access_url`` is elsewhere.
        from_http: whether plain HTTP is elsewhere when ``access_url`` is https, unless this machine or a private network
            was asked by its address.
        asked: how and where a request was sent; behind a proxy that ends TLS all of them come here by plain HTTP.
    """
    parts = urlsplit(access_url)
    own = _without_port(parts.netloc.rpartition("@")[2], parts.scheme)
    https_only = from_http and parts.scheme == "https"

    @web.middleware
    async def redirect(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method not in READING or request.path in PROBES:
            return await handler(request)
        at = asked(request)
        other_host = from_other_hosts and _without_port(at.host, parts.scheme) != own
        if other_host or (https_only and not at.secure and not _is_local(at.host)):
            return web.Response(status=307, headers={"Location": access_url.rstrip("/") + str(request.rel_url)})
        return await handler(request)

    return redirect


def _without_port(host: str, scheme: str) -> str:
    return host.lower().removesuffix(PORTS[scheme])


def _is_local(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname
        return name == "localhost" or ipaddress.ip_address(name or "").is_private  # loopback and link-local among them
    except ValueError:
        return False
