"""What is asked of projects, and what is answered. Times are RFC 3339, UTC."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated

import msgspec

Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
Rate = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
Days = Annotated[int, msgspec.Meta(ge=1, le=36_500)]
Origins = Annotated[list[str], msgspec.Meta(max_length=1_000)]
Members = Annotated[list[str], msgspec.Meta(max_length=1_000)]


class Endpoint(enum.StrEnum):
    """What has come in lately: that nothing does is not the same as that nothing is blocked."""

    NEVER_SEEN = "never seen"
    LIVE = "live"
    SILENT = "silent"


class Readiness(msgspec.Struct, frozen=True):
    """How far a policy is from being enforced without harm."""

    days_observed: int  # on which reports came in
    days_since_new: int | None  # since the last new violation that is no noise; None: there is none
    open_violations: int  # without noise, up to 10,000
    ready: bool  # two weeks observed, one without anything new, and nothing open


class Project(msgspec.Struct, frozen=True):
    """A project with how it is configured and how it is doing."""

    name: str
    created_at: datetime
    retired_at: datetime | None
    allowed_origins: list[str] | None  # of documents; None: any
    retention_days: int | None  # None: as the service is configured
    sample_rate: float
    ingest_rate: int | None  # reports a minute; None: no limit but that of each key
    browser_keys: list[str]  # those that are not revoked; they are public
    members: list[str]
    endpoint: Endpoint
    last_report_at: datetime | None
    readiness: Readiness


class Projects(msgspec.Struct, frozen=True):
    """Projects, by name."""

    results: list[Project]


class Configuration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a project is configured with; what is left out is the default."""

    name: str
    allowed_origins: Origins | None = None
    retention_days: Days | None = None
    sample_rate: Share = 1.0
    ingest_rate: Rate | None = None
    retired: bool = False
    members: Members | None = None  # None: as they are


class Configurations(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of projects."""

    projects: list[Configuration]


class ProjectChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change in a project; what is left out stays."""

    allowed_origins: Origins | msgspec.UnsetType | None = msgspec.UNSET
    retention_days: Days | msgspec.UnsetType | None = msgspec.UNSET
    sample_rate: Share | msgspec.UnsetType = msgspec.UNSET
    ingest_rate: Rate | msgspec.UnsetType | None = msgspec.UNSET
    retired: bool | msgspec.UnsetType = msgspec.UNSET
    members: Members | msgspec.UnsetType = msgspec.UNSET
