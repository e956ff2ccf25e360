"""What the door counts: requests by route, method and status. The labels come from the route table, never from a request."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

REQUESTS = Counter("collector_http_requests", "Requests answered.", ["route", "method", "status"])
SECONDS = Histogram(
    "collector_http_request_seconds",
    "Time from the first byte of a request's head to its answer. CSP intake is counted but not timed.",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
UNKNOWN_ROUTE = "unknown"
FIRST_STATUSES = ("200", "202", "400", "429", "500", "503")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def count(route: str, method: str, status: int) -> None:
    """Count one answer. A method outside the standard ones is counted as "other"."""
    REQUESTS.labels(route, method if method in METHODS else "other", str(status)).inc()


def begin(route: str, method: str) -> None:
    """Have the counts of a route's answers at 0: of a count that begins at its first burst, Prometheus sees no increase."""
    for status in FIRST_STATUSES:
        REQUESTS.labels(route, method, status)
