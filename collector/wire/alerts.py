"""Alerts: what is worth telling somebody about a violation, once. Times are integer milliseconds since the epoch, UTC."""

from __future__ import annotations

import enum

import msgspec


class AlertKind(enum.StrEnum):
    """What has happened to a violation."""

    NEW = "new"
    REOPENED = "reopened"  # it was resolved, and came again under a newer policy
    TRENDING = "trending"  # it comes much more often than it used to


class AlertRules(msgspec.Struct, frozen=True, kw_only=True):
    """When a violation is worth an alert. ``trend`` is how many times its usual rate makes it trending."""

    reports: int
    clients: int
    trend: int


class Alert(msgspec.Struct, frozen=True):
    """One thing to tell. ``id`` is the same however often it is sent."""

    row: int
    id: str
    kind: AlertKind
    project: str
    violation: str  # the fingerprint
    effective_directive: str | None
    blocked: str  # an origin, a scheme or a keyword
    document_origin: str | None
    reports: int
    clients: int  # of the day with the most, estimated
    first_seen: int
    last_seen: int
    raised_at: int
    attempts: int
