"""What is asked of policies, and what is answered: advice, a replay, the way to a strict policy. Times are RFC 3339, UTC."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated

import msgspec

from collector.wire.scripts import StoredScript

MAX_POLICY = 8_000  # characters of a policy that is given

# What a header can hold.
PolicyText = Annotated[str, msgspec.Meta(max_length=MAX_POLICY, pattern=r"^[\x20-\x7e]*$(?!\n)")]
Threshold = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class Kit(enum.StrEnum):
    """Which policy a site begins with."""

    STARTER = "starter"  # to see at once what a site loads from elsewhere
    OBSERVE = "observe"  # to see everything it loads, so that any policy can be replayed


class Verdict(enum.StrEnum):
    """What a policy does with something that a page asks for."""

    ALLOWED = "allowed"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"  # it hangs on what no report says: a nonce, a path that was cut, what 'self' is, or the browser


class Allow(enum.StrEnum):
    """What advice lists only when somebody asks for it, because it takes much of a policy's worth."""

    INLINE = "inline"
    EVAL = "eval"
    DATA = "data"  # in lists that code comes from; pictures and fonts may always be data:
    WILDCARDS = "wildcards"


class PolicyQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A project and perhaps a policy."""

    project: str
    policy: PolicyText | None = None


class AdviceQuery(PolicyQuery, frozen=True, kw_only=True):
    """What advice is asked for; ``policy`` is its base, without one it is the policy reported.

    A source below any of the three thresholds is not listed: reports can be forged.
    """

    reports: Threshold = 10
    clients: Threshold = 3
    days: Threshold = 2
    paths: bool = False  # whether sources have paths
    allow: frozenset[Allow] = frozenset()


class Grounds(msgspec.Struct, frozen=True):
    """What speaks for a source: the reports of all its violations, and of clients and days the most that any of them has."""

    reports: int
    clients: int  # of one day, estimated
    days: int
    first_seen: datetime
    last_seen: datetime
    documents: list[str]
    browsers: list[str]
    violations: list[str]  # their ids


class Added(msgspec.Struct, frozen=True):
    """A source that the suggested policy has and its base had not."""

    directive: str  # of the suggested policy
    source: str
    evidence: Grounds
    warnings: list[str]


class Reason(enum.StrEnum):
    """Why the suggested policy would still block something."""

    INLINE = "inline"
    EVAL = "eval"
    DATA = "data"
    BELOW_THRESHOLD = "below_threshold"
    IGNORED = "ignored"  # somebody decided so
    STRICT_DYNAMIC = "strict_dynamic"  # host sources mean nothing beside it
    POLICY_ALLOWS = "policy_allows"  # it was seen under a policy that lists it already: most likely a redirect
    UNNAMED = "unnamed"  # the browser said neither what nor, perhaps, by which directive
    NO_SOURCE = "no_source"  # no source expression fits it, or the directive is no list of sources


class Left(msgspec.Struct, frozen=True):
    """What the suggested policy would still block, and why."""

    directive: str | None
    blocked: str  # an origin, a scheme, or a keyword
    reason: Reason
    detail: str
    evidence: Grounds


class PolicyAdvice(msgspec.Struct, frozen=True):
    """A suggested policy, what speaks for each change of it, and what it leaves. To be read before it is used."""

    project: str
    base: str
    base_from: str  # given, reported, or starter when neither was there
    policy: str
    added: list[Added]
    left: list[Left]
    already_allowed: int  # violations that the base allows, and was not seen with
    warnings: list[str]


class Replayed(msgspec.Struct, frozen=True):
    """What a policy does with something that was reported."""

    directive: str | None
    blocked: str
    verdict: Verdict
    detail: str
    evidence: Grounds


class Unseen(msgspec.Struct, frozen=True):
    """What every policy of the time allowed, so that nobody reported it, and the replayed policy does not: unknown."""

    directive: str
    source: str


class Replay(msgspec.Struct, frozen=True):
    """A policy over what was reported. ``complete`` says that nothing was allowed unseen."""

    project: str
    policy: str
    complete: bool
    results: list[Replayed]
    unseen: list[Unseen]


class Need(msgspec.Struct, frozen=True):
    """One thing that a strict policy asks of a site."""

    what: str  # inline-script, event-handler, external-script, eval
    where: str  # the place, or the origin of what is loaded
    advice: str
    evidence: Grounds


class Bypass(msgspec.Struct, frozen=True):
    """A source that a policy lists or would list for scripts, and that lets others' code through."""

    source: str
    host: str  # of the list of known ones
    why: str


class StrictReport(msgspec.Struct, frozen=True):
    """What a policy of nonces or hashes with ``'strict-dynamic'`` would need, and what an allow-list leaves open."""

    project: str
    policy: str  # with {nonce} where every response has a new one
    needs: list[Need]
    bypasses: list[Bypass]
    scripts: list[StoredScript]  # those that browsers hashed, at most 1,000, oldest first


class HeaderQuery(PolicyQuery, frozen=True, kw_only=True):
    """What headers are asked for; without ``policy`` they carry that of the kit."""

    base_url: str | None = None  # where browsers reach the collector; None: where the request did
    kit: Kit = Kit.STARTER
    report_only: bool = True


class HeaderLine(msgspec.Struct, frozen=True):
    """One response header."""

    name: str
    value: str

    def __str__(self) -> str:
        return f"{self.name}: {self.value}"


class Headers(msgspec.Struct, frozen=True):
    """The headers that make the visitors of a project's site report."""

    project: str
    headers: list[HeaderLine]
