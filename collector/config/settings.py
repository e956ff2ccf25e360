"""The settings: every option that drives this service, typed, with what must hold between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from collector.config.values import NOWHERE, HostPort, duration_text
from collector.normalize.tokens import Lifetimes
from collector.wire.config import Link, Upstream
from collector.wire.deployment import Source
from collector.wire.errors import InvalidOption

AUTO = "auto"
CHOICES = ", ".join((AUTO, *Source))
MOST_UPSTREAMS = 100  # each is a job of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the service runs with. Each attribute is filled by the option whose ``setting`` names it."""

    write_config: bool  # print the options as YAML and end
    address: HostPort  # the older name: where it is set, one of the two that replaced it has its value
    http_address: HostPort  # port below 0: plain HTTP is off
    access_url: str  # "" when not set
    redirect_to_access_url: bool
    docs_url: str
    support_links: tuple[Link, ...]
    prometheus_enable: bool
    prometheus_address: HostPort
    prometheus_collect_agent_stats: bool
    prometheus_collect_db_metrics: bool
    prometheus_aggregate_agent_stats_by: tuple[str, ...]  # of agent_name, template_name, username, workspace_name
    coder_metrics: bool  # whether they are served under Coder's names too
    agent_stat_refresh_interval: timedelta
    health_check_refresh: timedelta
    health_check_threshold_database: timedelta
    usage_stats_enable: bool
    pg_connection_url: str = field(repr=False)  # holds a password
    pg_auth: str  # password, or awsiamrds, which is refused
    pg_conn_max_open: int
    pg_conn_max_idle: str  # a number, or auto
    max_token_lifetime: timedelta
    max_admin_token_lifetime: timedelta  # of an owner's token
    default_token_lifetime: timedelta
    experiments: tuple[str, ...]
    ssh_hostname_prefix: str
    workspace_hostname_suffix: str
    ssh_config_options: tuple[str, ...]  # each as Key=value
    cli_upgrade_message: str
    swagger_enable: bool
    update_check: bool
    update_check_url: str  # "" when not set
    api_rate_limit: int  # requests a minute, caller and route; negative: none
    disable_rate_limits: bool
    allow_all_cors: bool
    logging_human: str  # a path; "": off
    logging_json: str  # a path; "": off
    logging_stackdriver: str  # a path; "": off
    log_filter: tuple[str, ...]  # regular expressions
    verbose: bool
    tls_enable: bool
    tls_address: HostPort
    tls_cert_files: tuple[str, ...]
    tls_key_files: tuple[str, ...]  # parallel to the certificates
    tls_min_version: str  # tls10, tls11, tls12 or tls13
    tls_ciphers: tuple[str, ...]  # by their names in the standards; empty: the usual ones
    tls_allow_insecure_ciphers: bool
    tls_client_auth: str  # none, request, require-any, verify-if-given or require-and-verify
    tls_client_ca_file: str  # "" when not set
    tls_redirect_http: bool
    strict_transport_security: int  # seconds; 0: off
    strict_transport_security_options: tuple[str, ...]  # includeSubDomains, preload
    secure_auth_cookie: bool
    samesite_auth_cookie: str  # lax or none
    session_duration: timedelta
    disable_session_expiry_refresh: bool
    api_keys_retention: timedelta  # 0: for ever
    proxy_trusted_headers: tuple[str, ...]  # X-Forwarded-For, in this spelling
    proxy_trusted_origins: tuple[str, ...]  # networks in CIDR notation
    data_dir: Path  # absolute
    admin_token_file: str  # "" when not set
    ingest_rate_limit: int  # reports a minute and key; 0: none
    workers: int  # processes that take intake, the main one among them
    queue_limit: int  # reports and rows that wait for their commit
    submit_timeout: timedelta
    shutdown_timeout: timedelta
    lease_ttl: timedelta  # how long the leader leads without renewing
    max_store_bytes: int  # 0: no cap
    agent_stats_retention: timedelta
    csp_new_violations: int  # of a project in an hour; 0: any number
    csp_minutes_retention: timedelta
    csp_hours_retention: timedelta
    csp_violation_retention: timedelta
    csp_noise_rules: str  # a path; "" when not set
    snapshot_retention: timedelta
    history_minutes_retention: timedelta
    history_hours_retention: timedelta
    upstreams: tuple[Upstream, ...]
    canary: bool
    workspace_retention: timedelta
    aibridge_enabled: bool
    aibridge_retention: timedelta  # 0: for ever
    aibridge_structured_logging: bool
    aibridge_store_prompts: bool
    aibridge_prices: str  # a path; "": no price list
    alert_webhook_url: str = field(repr=False)  # "" when not set; webhooks are secret
    alert_format: str  # json, slack or teams
    alert_secret: str = field(repr=False)  # "": not signed
    alert_reports: int
    alert_clients: int
    alert_trend: int  # times the usual rate
    alert_digest: timedelta
    inventory_retention: timedelta
    user_identity: str  # plain, pseudonym or none
    telemetry_forward_url: str = field(repr=False)  # may hold a password; "" when telemetry goes nowhere else
    nats_url: tuple[str, ...] = field(repr=False)  # may hold passwords; empty: there is no stream
    nats_credentials: str  # a path; "" when not set
    nats_stream: str
    nats_replicas: int
    nats_max_bytes: int
    deployment_sources: Mapping[str, str]  # by deployment: auto, reports, upstream or telemetry

    @property
    def http_enable(self) -> bool:
        """Whether plain HTTP is served."""
        return self.http_address != NOWHERE

    @property
    def strict_transport_security_header(self) -> str:
        """The header's value; "" when browsers are told nothing."""
        if not self.strict_transport_security:
            return ""
        options = dict.fromkeys(self.strict_transport_security_options)  # each once
        return "; ".join([f"max-age={self.strict_transport_security}", *options])

    @property
    def url(self) -> str:
        """Where people reach the service: the access URL, else the address it listens on."""
        listening = f"https://{self.tls_address}" if self.tls_enable else f"http://{self.http_address}"
        return self.access_url.rstrip("/") or listening

    @property
    def feed_url(self) -> str:
        """The releases feed to ask for a newer version; "" when there is no check."""
        return self.update_check_url if self.update_check else ""

    @property
    def database_url(self) -> str:
        """What ``persist.engine.open_store`` takes: PostgreSQL's URL if there is one, else SQLite in the data directory."""
        return self.pg_connection_url or f"sqlite:///{self.data_dir}/collector.db"

    @property
    def lifetimes(self) -> Lifetimes:
        """For how long tokens may work."""
        return Lifetimes(self.default_token_lifetime, self.max_token_lifetime, self.max_admin_token_lifetime)

    @property
    def sources(self) -> dict[str, Source]:
        """The deployments whose source is said, those left to be found out aside."""
        return {deployment: Source(source) for deployment, source in self.deployment_sources.items() if source != AUTO}

    @property
    def idle_connections(self) -> int:
        """How many connections to PostgreSQL stay open when nothing is done, at most all of them."""
        asked = self.pg_conn_max_open // 3 if self.pg_conn_max_idle == "auto" else int(self.pg_conn_max_idle)
        return max(1, min(asked, self.pg_conn_max_open))


def check(settings: Settings) -> None:
    """Refuse settings that cannot be had together.

    Raises:
        InvalidOption: naming the options; the PostgreSQL URL is never shown.
    """
    _check_listeners(settings)
    _check_store(settings)
    _check_sources(settings)
    _check_upstreams(settings.upstreams)
    _check_not_shorter(
        ("COLLECTOR_CSP_MINUTES_RETENTION", settings.csp_minutes_retention),
        ("COLLECTOR_CSP_HOURS_RETENTION", settings.csp_hours_retention),
    )
    _check_not_shorter(
        ("COLLECTOR_SNAPSHOT_RETENTION", settings.snapshot_retention),
        ("COLLECTOR_HISTORY_MINUTES_RETENTION", settings.history_minutes_retention),
    )
    _check_not_shorter(
        ("COLLECTOR_HISTORY_MINUTES_RETENTION", settings.history_minutes_retention),
        ("COLLECTOR_HISTORY_HOURS_RETENTION", settings.history_hours_retention),
    )


def _check_upstreams(upstreams: tuple[Upstream, ...]) -> None:
    for number, upstream in enumerate(upstreams):
        label = f"COLLECTOR_UPSTREAMS, number {number}"
        if not _is_plain_http(upstream.url):
            raise InvalidOption(f"{label}: the url must begin with http:// or https:// and hold no user name and no query")
        if not upstream.token_file:
            raise InvalidOption(f"{label}: there is no token_file")
        if not _is_choice(upstream.source):
            raise InvalidOption(f"{label}: the source is none of {CHOICES}")
    if len(upstreams) > MOST_UPSTREAMS:
        raise InvalidOption(
            f"COLLECTOR_UPSTREAMS: {len(upstreams)} servers are more than the {MOST_UPSTREAMS} that can be asked"
        )


def _is_plain_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and not (parts.query or parts.fragment or "@" in parts.netloc)
    )


def _check_not_shorter(fine: tuple[str, timedelta], coarse: tuple[str, timedelta]) -> None:
    if coarse[1] < fine[1]:
        raise InvalidOption(
            f"{coarse[0]} ({duration_text(coarse[1])}) must not be shorter than {fine[0]} ({duration_text(fine[1])})"
        )


def _check_listeners(settings: Settings) -> None:
    if not settings.http_enable and not settings.tls_enable:
        raise InvalidOption("CODER_HTTP_ADDRESS is empty and CODER_TLS_ENABLE is false: nothing would be served")
    if settings.prometheus_enable and settings.prometheus_address == NOWHERE:
        raise InvalidOption("CODER_PROMETHEUS_ENABLE is true, but CODER_PROMETHEUS_ADDRESS is empty")
    if not settings.tls_enable:
        return
    if settings.tls_address == NOWHERE:
        raise InvalidOption("CODER_TLS_ENABLE is true, but CODER_TLS_ADDRESS is empty")
    certificates, keys = len(settings.tls_cert_files), len(settings.tls_key_files)
    if not certificates or certificates != keys:
        raise InvalidOption(
            "CODER_TLS_ENABLE is true: CODER_TLS_CERT_FILE and CODER_TLS_KEY_FILE must name as many keys as certificates,"
            f" at least one of each, not {certificates} and {keys}"
        )


def _check_sources(settings: Settings) -> None:
    wrong = {source for source in settings.deployment_sources.values() if not _is_choice(source)}
    if wrong:
        raise InvalidOption(f"COLLECTOR_DEPLOYMENT_SOURCES: {min(wrong)!r} is no source; each is one of {CHOICES}")


def _is_choice(source: str) -> bool:
    return source == AUTO or source in tuple(Source)


def _check_store(settings: Settings) -> None:
    url = settings.pg_connection_url
    if url and not url.startswith(("postgres://", "postgresql://")):
        raise InvalidOption("CODER_PG_CONNECTION_URL must begin with postgres:// or postgresql://")
    if url and settings.pg_auth != "password":
        raise InvalidOption(
            f"CODER_PG_AUTH: {settings.pg_auth!r} is not available here: CODER_PG_CONNECTION_URL must hold a password"
        )
    if not url and any(character in str(settings.data_dir) for character in "?#%"):
        # They would end the path, or be decoded, in the URLs that SQLite's file is opened with.
        raise InvalidOption(f"COLLECTOR_DATA_DIR: {str(settings.data_dir)!r} must not hold any of ? # %")
