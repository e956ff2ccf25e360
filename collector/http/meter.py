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
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def count(route: str, method: str, status: int) -> None:
    """Count one answer. A method outside the standard ones is counted as "other"."""
    REQUESTS.labels(route, method if method in METHODS else "other", str(status)).inc()
