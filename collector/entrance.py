"""What stands before every handler, built from the settings: certificates, who is who, the gate, the middleware."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from ipaddress import ip_network
from typing import Literal

from aiohttp import web
from aiohttp.typedefs import Middleware

import collector
from collector.config.settings import Settings
from collector.http.auth import Credentials
from collector.http.crossorigin import cross_origin
from collector.http.errors import errors_middleware
from collector.http.forwarded import Network, asked_at, client_address
from collector.http.guard import Guard, unmatched
from collector.http.limits import Budget, SlidingWindow
from collector.http.observe import observing
from collector.http.redirect import to_access_url
from collector.http.tls import Certificates, TlsOptions
from collector.ingest.clients import Clients
from collector.ingest.csp import CspDoor
from collector.normalize.filters import NoiseFilter
from collector.normalize.remembered import Remembered
from collector.pages.session import SignIn
from collector.persist.engine import Store
from collector.persist.meta import DEFAULT_PROJECT, service_secret
from collector.persist.projects import project_by_name
from collector.persist.sink import Sink
from collector.wire.clock import wall_clock
from collector.wire.identity import IngestKey, KeyKind

LOOKUPS_A_MINUTE = 3_000  # of unknown credentials from addresses past their limit: 50 reads a second at the most
MS = timedelta(milliseconds=1)
VERSION = f"v{collector.__version__}"
# Below these only whoever is signed in learns that a path is none, as with the real server.
SIGNED_IN_BELOW = ("/api/v2/deployment", "/api/v2/experiments", "/api/v2/users")


def certificates(settings: Settings) -> Certificates | None:
    """Read before anything else is done, so that a file that cannot be used costs nothing."""
    if not settings.tls_enable:
        return None
    return Certificates(
        TlsOptions(
            certificates=tuple(zip(settings.tls_cert_files, settings.tls_key_files, strict=True)),
            min_version=settings.tls_min_version,
            ciphers=settings.tls_ciphers,
            allow_insecure_ciphers=settings.tls_allow_insecure_ciphers,
            client_auth=settings.tls_client_auth,
            client_ca_file=settings.tls_client_ca_file,
        )
    )


def credentials(settings: Settings, store: Store, *, now: Callable[[], int]) -> Credentials:
    """Who is who, and how long a session of the pages goes on."""
    session_ms = None if settings.disable_session_expiry_refresh else settings.session_duration // MS
    return Credentials(store, now=now, clock=time.monotonic, session_ms=session_ms)


def sign_in(settings: Settings) -> SignIn:
    """What a sign-in to the pages gives."""
    same_site: Literal["Lax", "None"] = "None" if settings.samesite_auth_cookie == "none" else "Lax"
    return SignIn(settings.session_duration // MS, always_secure=settings.secure_auth_cookie, same_site=same_site)


def address(settings: Settings) -> Callable[[web.BaseRequest], str]:
    """What says the client address of a request, behind trusted proxies too."""
    return partial(client_address, trusted_headers=settings.proxy_trusted_headers, trusted_origins=_proxies(settings))


def _proxies(settings: Settings) -> list[Network]:
    return [ip_network(origin) for origin in settings.proxy_trusted_origins]


def guard(settings: Settings, credentials: Credentials) -> Guard:
    """The gate, with the limit of requests unless it is lifted."""
    limited = settings.api_rate_limit >= 0 and not settings.disable_rate_limits
    return Guard(
        credentials,
        SlidingWindow(settings.api_rate_limit or 512, clock=time.time) if limited else None,
        address=address(settings),
        lookups=Budget(LOOKUPS_A_MINUTE, time.monotonic),
    )


def budget(settings: Settings) -> Budget:
    """What each key may bring to this process: its part of what the service takes."""
    limit = 0 if settings.disable_rate_limits else settings.ingest_rate_limit
    return Budget(limit, time.monotonic, processes=settings.workers)


async def csp_door(
    settings: Settings,
    store: Store,
    guard: Guard,
    *,
    sink: Sink,
    credentials: Credentials,
    budget: Budget,
    noise: NoiseFilter,
    deployment: str,
    now: Callable[[], int] = wall_clock,
) -> CspDoor:
    """The door, and the key that stands for a signed-in user who tries it out."""
    clients = Clients(await store.read(service_secret), address=address(settings))
    project = await store.read(partial(project_by_name, name=DEFAULT_PROJECT))
    own = IngestKey("", KeyKind.BROWSER, project.id, project.name, deployment)
    parts = sink, credentials, guard, budget, clients, Remembered(noise)
    return CspDoor(*parts, own=own, now=now, chance=random.random, version=VERSION)


def middlewares(settings: Settings, guard: Guard) -> Iterable[Middleware]:
    """Around every request that no door takes, the outermost first."""
    asked = partial(asked_at, trusted_origins=_proxies(settings))
    yield observing(VERSION, transport_security=settings.strict_transport_security_header, asked=asked)
    yield cross_origin(allow_all=settings.allow_all_cors)
    from_http = settings.tls_enable and settings.tls_redirect_http
    if settings.access_url and (settings.redirect_to_access_url or from_http):
        other_hosts = settings.redirect_to_access_url
        yield to_access_url(settings.access_url, from_other_hosts=other_hosts, from_http=from_http, asked=asked)
    yield errors_middleware
    yield unmatched(guard, SIGNED_IN_BELOW)
