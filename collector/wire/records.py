"""The canonical records: what normalize makes, what persist stores. Times are integer milliseconds since the epoch, UTC."""

from __future__ import annotations

import enum

import msgspec

from collector.wire.inventory import TelemetryIntake, TelemetryServer


class DropReason(enum.StrEnum):
    """Why a report that arrived is not among the violations. A closed list: it is a metric label."""

    EMPTY = "empty"  # an entry without a single usable field
    MALFORMED = "malformed"  # an entry of a batch that no browser sends
    FOREIGN_ORIGIN = "foreign_origin"  # the document is not on the key's list of origins
    OVER_BUDGET = "over_budget"  # the key used up COLLECTOR_INGEST_RATE_LIMIT
    OVER_ENTRIES = "over_entries"  # past the 1,000th entry of one batch
    SAMPLED_OUT = "sampled_out"  # the project keeps a share of its reports only
    STORE_FULL = "store_full"  # a new violation while the store is over COLLECTOR_MAX_STORE_BYTES


class NoiseClass(enum.StrEnum):
    """What a report that is no fault of the site comes from. A closed list: it is a metric label."""

    BROWSER_EXTENSION = "browser-extension"
    BROWSER_INTERNAL = "browser-internal"
    APP_WEBVIEW = "app-webview"
    INJECTED_ADWARE = "injected-adware"
    SECURITY_SOFTWARE = "security-software"
    TRANSLATOR = "translator"
    BOOKMARKLET = "bookmarklet"
    BROWSER_BUG = "browser-bug"
    LOCALHOST = "localhost"


class Sample(msgspec.Struct, frozen=True, gc=False):
    """The particulars of one report; every URL is already without userinfo, query and fragment."""

    document_uri: str | None = None
    referrer: str | None = None
    blocked_uri: str | None = None
    source_file: str | None = None
    line_number: int | None = None
    column_number: int | None = None
    status_code: int | None = None
    script_sample: str | None = None  # at most 40 characters
    policy: str | None = None  # without nonces and report endpoints
    user_agent: str | None = None


class CspReport(msgspec.Struct, frozen=True, gc=False):
    """One CSP report after normalization. Two reports are the same violation when project and :attr:`group` agree."""

    effective_directive: str | None  # a directive of the CSP specifications, else None
    blocked_kind: str  # origin, inline, eval, wasm-eval, trusted-types-policy, trusted-types-sink, local, scheme, opaque
    blocked_origin: str | None  # scheme://host[:port], or "scheme:" when the kind is scheme
    blocked_key: str  # what is blocked, for the fingerprint: the origin, the keyword, "scheme:", or "local"
    document_origin: str | None
    disposition: str | None  # enforce, report, or None when the browser did not say
    noise_class: NoiseClass | None
    noise_rule: str | None  # the name of the rule that gave the class
    place: str  # second level for inline and eval: source path and line, else the normalized sample; else ""
    sample: Sample
    policy_hash: str | None = None  # of the policy without nonces and report endpoints, whatever the order of its sources
    policy_allows: bool = False  # the policy it came with seems to allow it: a redirect and 'strict-dynamic' look like that

    @property
    def group(self) -> tuple[str | None, str, NoiseClass | None, str]:
        """What makes two reports of a project the same violation."""
        return self.effective_directive, self.blocked_key, self.noise_class, self.place


class Script(msgspec.Struct, frozen=True, gc=False):
    """A script in one version, as a ``csp-hash`` report names it; the URL has no query."""

    document_origin: str | None
    url: str | None
    hash: str  # sha256-…, sha384-… or sha512-…, in base64
    type: str
    destination: str


class OtherReport(msgspec.Struct, frozen=True, gc=False):
    """A report of the Reporting API that is not about CSP; ``type`` is from a closed list, else "other"."""

    type: str
    age_ms: int  # how long before its delivery it happened
    document_uri: str | None
    document_origin: str | None
    user_agent: str | None
    fields: tuple[tuple[str, str | int | float | bool], ...]  # of its body: those that are kept, clean and masked
    about: str  # what tells it from others of its type; samples that agree in it overwrite each other
    script: Script | None = None  # of a csp-hash


class CspIntake(msgspec.Struct, frozen=True, gc=False):
    """All that one POST to /csp/reports brought, stored whole or not at all.

    ``fingerprints`` is parallel to ``reports``, and so is ``ages``: how long before its delivery each happened, in ms; empty
    when all of them happened just now. ``drops`` counts by reason. ``client`` is the mark of who sent it
    (``persist/sketch.py``), of which neither address nor browser can be had.
    """

    project_id: int
    deployment: str
    received_at: int
    reports: tuple[CspReport, ...] = ()
    fingerprints: tuple[str, ...] = ()
    drops: tuple[tuple[DropReason, int], ...] = ()
    others: tuple[OtherReport, ...] = ()
    client: int | None = None
    ages: tuple[int, ...] = ()


class AgentReport(msgspec.Struct, frozen=True, gc=False):
    """One agent's report of one period. Bytes and packets are deltas, session counts are gauges (Coder's meaning).

    ``report_id`` makes it idempotent within its deployment; None is never a repetition. Names are None when unknown.
    """

    deployment: str
    received_at: int
    agent_id: str
    workspace_id: str
    user_id: str
    template_id: str
    report_id: str | None
    collected_at: int | None
    agent_name: str | None
    workspace_name: str | None
    username: str | None
    template_name: str | None
    connection_count: int
    connection_median_latency_ms: float  # not positive: no peer was reached
    rx_packets: int
    rx_bytes: int
    tx_packets: int
    tx_bytes: int
    session_count_vscode: int
    session_count_jetbrains: int
    session_count_reconnecting_pty: int
    session_count_ssh: int


class WorkspaceBuild(msgspec.Struct, frozen=True, gc=False):
    """The newest build of a workspace with the raw columns of its provisioner job, which is what Coder counts by."""

    build_number: int
    transition: str  # start, stop or delete
    created_at: int | None = None
    job_started_at: int | None = None
    job_canceled_at: int | None = None
    job_completed_at: int | None = None
    job_error: str | None = None


class Workspace(msgspec.Struct, frozen=True, gc=False):
    """A workspace and its newest build, if it has one. Upserted by (deployment, id)."""

    deployment: str
    received_at: int
    id: str
    name: str
    owner_id: str
    template_id: str
    deleted: bool
    latest_build: WorkspaceBuild | None


Record = CspIntake | AgentReport | Workspace | TelemetryIntake | TelemetryServer


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """A record the store would not take: its index in what was submitted, and the reason in words."""

    index: int
    error: str


class Taken(msgspec.Struct, frozen=True):
    """What became of the rows of one request: how many are stored, and which are not."""

    accepted: int
    rejected: list[Refusal]
