"""What clients are told about the service itself, made of its settings: the same for as long as it runs."""

from __future__ import annotations

from aiohttp import web
from prometheus_client import Gauge

from collector.config.loading import Loaded, Source
from collector.config.structures import ssh_option
from collector.http.appkeys import BUILD_INFO, DEPLOYMENT, EXPERIMENTS, LIFETIMES, SSH
from collector.serve import experiments
from collector.wire.deployment import SshConfig
from collector.wire.general import BuildInfo

BUILD = Gauge(
    "collector_build_info",
    "1: the version of the process, and the address that people reach the collector at.",
    ["version", "dashboard_url"],
)
DOCUMENTATION = "Docs URL"
SSH_PREFIX = "coder."  # of workspaces' names, when the option is empty: clients cannot do without one


def documentation(loaded: Loaded) -> str:
    """Where an operator documents this service; "" when nobody said: the option's default is Coder's, about another one."""
    return "" if loaded.source(DOCUMENTATION) is Source.DEFAULT else loaded.settings.docs_url


def tell(app: web.Application, loaded: Loaded, version: str) -> None:
    """Put what the handlers of buildinfo, ssh, experiments and tokens answer where they find it."""
    settings = loaded.settings
    BUILD.clear()
    BUILD.labels(version, settings.url).set(1)
    app[BUILD_INFO] = BuildInfo(
        version=version,
        external_url=documentation(loaded) or settings.url,
        dashboard_url=settings.url,
        upgrade_message=settings.cli_upgrade_message,
        deployment_id=app[DEPLOYMENT],
    )
    app[SSH] = SshConfig(
        hostname_prefix=settings.ssh_hostname_prefix or SSH_PREFIX,
        hostname_suffix=settings.workspace_hostname_suffix,
        ssh_config_options=dict(sorted(dict(map(ssh_option, settings.ssh_config_options)).items())),
    )
    app[EXPERIMENTS] = tuple(experiments.enabled(settings.experiments))
    app[LIFETIMES] = settings.lifetimes
