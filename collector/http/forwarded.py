"""What trusted proxies say of a request that they pass on: whose it is, and how and where it was asked."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import NamedTuple

from aiohttp import web

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

FORWARDED = ("X-Forwarded-Proto", "X-Forwarded-Host")
SCHEMES = ("http", "https")


class Asked(NamedTuple):
    """The scheme and the host, with its port if it was named, that the sender of a request sees in its address bar."""

    scheme: str
    host: str

    @property
    def secure(self) -> bool:
        """Whether the sender spoke TLS."""
        return self.scheme == "https"


def asked_at(request: web.BaseRequest, trusted_origins: Sequence[Network] = ()) -> Asked:
    """Where the request was sent: here, unless a trusted proxy says otherwise in X-Forwarded-Proto or -Host.

    Of several proxies in a row the first is believed: nothing but redirects and Strict-Transport-Security follow from it,
    and a sender who lies misleads itself alone.
    """
    here = Asked(request.scheme, request.host)
    scheme, host = (request.headers.get(name, "").partition(",")[0].strip() for name in FORWARDED)
    if not (scheme or host) or not _is_trusted(request.remote or "", trusted_origins):
        return here
    return Asked(scheme.lower() if scheme.lower() in SCHEMES else here.scheme, host or here.host)


def client_address(
    request: web.BaseRequest, trusted_headers: Sequence[str] = (), trusted_origins: Sequence[Network] = ()
) -> str:
    """The address that the request came from: the peer's, unless the peer is a trusted proxy.

    Then it is the right-most address of the first of ``trusted_headers`` present that is no trusted proxy itself:
    everything left of that one is the client's own claim. Empty for a Unix socket.
    """
    address = request.remote or ""
    if not trusted_headers or not _is_trusted(address, trusted_origins):
        return address
    name = next((name for name in trusted_headers if name in request.headers), None)
    if name is None:
        return address
    for entry in reversed(",".join(request.headers.getall(name)).split(",")):
        named = _address(entry)
        if named is None:
            return address  # nobody behind a broken entry can be believed
        address = named
        if not _is_trusted(address, trusted_origins):
            return address
    return address


def _is_trusted(address: str, networks: Sequence[Network]) -> bool:
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in networks)


def _address(entry: str) -> str | None:
    """An address of a forwarding header, which may come with a port; None when it is no address."""
    text = entry.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    parsed = _parsed(text)
    return None if parsed is None else str(parsed)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped  # what a socket for both families calls an IPv4 peer
    return address
