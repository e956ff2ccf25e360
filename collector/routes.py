"""The route table: the whole HTTP surface on one page, and who may call what."""

from __future__ import annotations

from collector.http.access import Access
from collector.http.operation import Route
from collector.ingest import agentstats, aibridge, csp, telemetry, workspaces
from collector.pages import aibridge as aibridge_pages
from collector.pages import csp as csp_pages
from collector.pages import ignore_rules, overview, session, setup, static, swagger
from collector.pages import noise as noise_pages
from collector.pages import policy as policy_pages
from collector.serve import (
    agents,
    config,
    csp_export,
    csp_states,
    deployment,
    experiments,
    exporter,
    general,
    health,
    noise,
    openapi,
    other_reports,
    policy,
    projects,
    scripts,
    tokens,
)
from collector.serve import aibridge as aibridge_usage
from collector.serve import csp as violations
from collector.wire.identity import Scope

# Of a handler with two paths, the one that clients should use stands first.
ROUTES = (
    Route("GET", "/", overview.get_overview, Access.PUBLIC),  # signed out it shows how to sign in
    Route("GET", "/csp", csp_pages.get_violations, Access.PUBLIC),
    Route("POST", "/csp", csp_pages.post_violations, Access.PUBLIC),
    Route("GET", "/csp/violations/{id}", csp_pages.get_violation, Access.PUBLIC),
    Route("POST", "/csp/violations/{id}", csp_pages.post_violation, Access.PUBLIC),
    Route("GET", "/csp/ignore-rules", ignore_rules.get_rules, Access.PUBLIC),
    Route("POST", "/csp/ignore-rules", ignore_rules.post_rule, Access.PUBLIC),
    Route("POST", "/csp/ignore-rules/{id}", ignore_rules.post_rule_end, Access.PUBLIC),
    Route("GET", "/csp/policy", policy_pages.get_policy, Access.PUBLIC),
    Route("POST", "/csp/policy", policy_pages.post_policy, Access.PUBLIC),
    Route("GET", "/csp/noise", noise_pages.get_noise, Access.PUBLIC),
    Route("GET", "/aibridge", aibridge_pages.get_aibridge, Access.PUBLIC),
    Route("GET", "/setup", setup.get_setup, Access.PUBLIC),
    Route("POST", "/signin", session.post_signin, Access.PUBLIC),
    Route("POST", "/signout", session.post_signout, Access.PUBLIC),
    Route("GET", "/swagger", swagger.get_swagger, Access.PUBLIC),
    Route("GET", "/static/{digest}/{name:.+}", static.get_static, Access.PUBLIC, limited=False),
    Route("GET", "/healthz", health.get_healthz, Access.PUBLIC, limited=False),  # probes are never too many
    Route("GET", "/readyz", health.get_readyz, Access.PUBLIC, limited=False),
    Route("GET", "/metrics", exporter.get_metrics, Access.READ, Scope.METRICS),
    Route("GET", "/metrics/deployment", exporter.get_deployment_metrics, Access.READ, Scope.METRICS),
    Route("GET", "/metrics/replica", exporter.get_replica_metrics, Access.READ, Scope.METRICS),
    Route("GET", "/api/v2", general.get_root, Access.PUBLIC),
    Route("GET", "/api/v2/", general.get_root, Access.PUBLIC),
    Route("GET", "/api/v2/openapi.json", openapi.get_openapi, Access.PUBLIC),
    Route("GET", "/api/v2/buildinfo", general.get_buildinfo, Access.PUBLIC),
    Route("GET", "/api/v2/updatecheck", general.get_updatecheck, Access.PUBLIC),
    # Both CSP paths are usually answered by their door, before they come here.
    Route("POST", "/api/v2/csp/reports", csp.post_reports, Access.CSP),
    Route("POST", "/csp/reports", csp.post_reports, Access.CSP),
    Route("OPTIONS", "/api/v2/csp/reports", csp.preflight, Access.PUBLIC, limited=False),
    Route("OPTIONS", "/csp/reports", csp.preflight, Access.PUBLIC, limited=False),
    Route("GET", "/api/v2/csp/violations", violations.get_violations, Access.PROJECTS, Scope.CSP_VIOLATION),
    Route("GET", "/api/v2/csp/violations/export", csp_export.get_export, Access.PROJECTS, Scope.CSP_VIOLATION),
    Route("GET", "/api/v2/csp/violations/groups", violations.get_violation_groups, Access.PROJECTS, Scope.CSP_VIOLATION),
    Route("POST", "/api/v2/csp/violations/states", csp_states.post_states, Access.OWNER),
    Route("GET", "/api/v2/csp/violations/{id}", violations.get_violation, Access.PROJECTS, Scope.CSP_VIOLATION),
    Route("PATCH", "/api/v2/csp/violations/{id}", csp_states.patch_violation, Access.OWNER),
    Route("GET", "/api/v2/csp/ignore-rules", csp_states.get_ignore_rules, Access.READ, Scope.CSP_VIOLATION),
    Route("POST", "/api/v2/csp/ignore-rules", csp_states.post_ignore_rule, Access.OWNER),
    Route("DELETE", "/api/v2/csp/ignore-rules/{id}", csp_states.delete_rule, Access.OWNER),
    Route("GET", "/api/v2/csp/policy", policy.get_policy, Access.PROJECTS, Scope.CSP_VIOLATION),
    Route("GET", "/api/v2/csp/policy/replay", policy.get_replay, Access.PROJECTS, Scope.CSP_VIOLATION),
    Route("GET", "/api/v2/csp/policy/strict", policy.get_strict, Access.PROJECTS, Scope.CSP_VIOLATION),
    Route("GET", "/api/v2/csp/header", policy.get_header, Access.READ, Scope.CSP_VIOLATION),
    Route("GET", "/api/v2/projects", projects.get_projects, Access.PROJECTS, Scope.CSP_VIOLATION),
    Route("POST", "/api/v2/projects", projects.post_project, Access.OWNER),
    Route("PATCH", "/api/v2/projects/{name}", projects.patch_project, Access.OWNER),
    Route("GET", "/api/v2/csp/noise/rules", noise.get_noise_rules, Access.READ, Scope.CSP_VIOLATION),
    Route("GET", "/api/v2/csp/other-reports", other_reports.get_other_reports, Access.READ, Scope.CSP_VIOLATION),
    Route("GET", "/api/v2/csp/scripts", scripts.get_scripts, Access.READ, Scope.CSP_VIOLATION),
    Route("POST", "/api/v2/ingest/agent-stats", agentstats.post_agent_stats, Access.FEED),
    Route("POST", "/api/v2/ingest/workspaces", workspaces.post_workspaces, Access.FEED),
    Route("POST", "/api/v2/ingest/aibridge", aibridge.post_aibridge, Access.FEED),
    Route("GET", "/api/v2/aibridge/usage", aibridge_usage.get_usage, Access.READ, Scope.AIBRIDGE),
    Route("POST", "/api/v2/workspaceagents/me/report-stats", agentstats.post_report_stats, Access.AGENT),
    Route("POST", "/api/v2/agents", agents.post_agents, Access.OWNER),
    # Where a Coder server sends its telemetry: it drops whatever path the address has.
    Route("POST", "/deployment", telemetry.post_deployment, Access.FEED),
    Route("POST", "/snapshot", telemetry.post_snapshot, Access.FEED),
    Route("GET", "/api/v2/deployment/config", config.get_config, Access.READ, Scope.DEPLOYMENT_CONFIG),
    Route("GET", "/api/v2/deployment/ssh", deployment.get_ssh, Access.SIGNED_IN),
    Route("GET", "/api/v2/deployment/stats", deployment.get_stats, Access.READ, Scope.DEPLOYMENT_STATS),
    Route("GET", "/deployment/stats", deployment.get_stats, Access.READ, Scope.DEPLOYMENT_STATS),
    Route("GET", "/api/v2/deployment/stats/history", deployment.get_stats_history, Access.READ, Scope.DEPLOYMENT_STATS),
    Route("GET", "/api/v2/deployment/workspaces", deployment.get_workspaces, Access.READ, Scope.DEPLOYMENT_STATS),
    Route("GET", "/api/v2/experiments", experiments.get_experiments, Access.SIGNED_IN),
    Route("GET", "/api/v2/experiments/", experiments.get_experiments, Access.SIGNED_IN),
    Route("GET", "/api/v2/experiments/available", experiments.get_available, Access.SIGNED_IN),
    Route("GET", "/api/v2/users/{user}/keys/tokens", tokens.get_tokens, Access.SELF),
    Route("POST", "/api/v2/users/{user}/keys/tokens", tokens.post_tokens, Access.SELF),
    Route("GET", "/api/v2/users/{user}/keys/tokens/tokenconfig", tokens.get_tokenconfig, Access.SIGNED_IN),
    Route("DELETE", "/api/v2/users/{user}/keys/tokens/{id}", tokens.delete_token, Access.SELF),
)
