"""Every text that anybody can bring, each with a marker of its own that would become markup wherever it is not escaped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy import text as sql

from collector.http.appkeys import CREDENTIALS, DEPLOYMENT, NOW, STORE
from collector.rollup.sources import note_success
from collector.wire.deployment import Source
from collector.wire.trials import TRIAL_ID
from tests.inside import Inside

FIRST = 1_001  # four digits each, so that no marker is part of another
NDJSON = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}
SHOP, CDN = "https://shop.example.com", "https://cdn.example.net"
UUID = "00000000-0000-4000-8000-00000000000{}"


class Marks:
    """Markers by the name of the field that carries them."""

    def __init__(self) -> None:
        self.fields: dict[str, int] = {}

    def __call__(self, field: str) -> str:
        """The marker of ``field``: an element, an end of any attribute and of a script, and an expression."""
        number = self.fields.setdefault(field, FIRST + len(self.fields))
        return f"<img src=x onerror=alert({number})>\"'><script>alert({number})</script>{{{{7*7}}}}"


class Delivery(NamedTuple):
    """A request with what it may be answered."""

    path: str
    body: str
    headers: dict[str, str]
    statuses: tuple[int, ...] = (200, 201, 202)


def violations(mark: Marks) -> Iterator[str]:
    """CSP reports of every dialect: whole ones with a mark at the end of each field, and ones whose fields are marks alone."""
    legacy = {
        "document-uri": f"{SHOP}/",
        "referrer": "https://news.example/",
        "violated-directive": "img-src ",
        "effective-directive": "img-src",
        "original-policy": "default-src 'self'; report-uri /",
        "disposition": "report",
        "blocked-uri": f"{CDN}/",
        "source-file": f"{SHOP}/app.js/",
        "script-sample": "",
    }
    whole = {
        name: value if name in ("effective-directive", "disposition") else value + mark(f"legacy {name}")
        for name, value in legacy.items()
    }
    yield json.dumps({"csp-report": whole})
    yield json.dumps({"csp-report": {name: mark(f"bare {name}") for name in legacy}})
    yield json.dumps({"csp-report": {**legacy, "effective-directive": mark("legacy effective-directive")}})
    yield json.dumps({"csp-report": {**legacy, "disposition": mark("legacy disposition")}})
    yield json.dumps({"csp-report": {**legacy, "blocked-uri": f"chrome-extension://abc/{mark('extension')}"}})
    inline = {"effective-directive": "script-src-attr", "blocked-uri": "inline", "script-sample": mark("inline script-sample")}
    yield json.dumps({"csp-report": {**legacy, **inline, "source-file": f"{SHOP}/{mark('inline source-file')}"}})
    body = {
        "documentURL": f"{SHOP}/basket/",
        "referrer": "https://news.example/",
        "blockedURL": "https://fonts.example.org/",
        "effectiveDirective": "font-src",
        "originalPolicy": "font-src 'self'; report-uri /",
        "sourceFile": f"{SHOP}/late.js/",
        "sample": "",
        "disposition": "enforce",
    }
    plain = ("effectiveDirective", "disposition")
    marked = {name: value if name in plain else value + mark(f"modern {name}") for name, value in body.items()}
    entry = {"type": "csp-violation", "age": 1, "url": f"{SHOP}/{mark('modern url')}", "user_agent": mark("modern user_agent")}
    yield json.dumps([{**entry, "body": marked}, {**entry, "body": {name: mark(f"bare {name}") for name in body}}])
    yield json.dumps({**entry, "type": mark("modern type"), "body": body})  # alone, as Safari sends it


def other_reports(mark: Marks) -> str:
    """A report of other types with every field that any of them has, and a script's hash."""
    names = "id policyId featureId reason phase type disposition destination property effectivePolicy method protocol message"
    urls = "documentURL blockedURL subresourceURL sourceFile srcAttribute referrer previousResponseURL openerURL otherURL"
    fields = {name: mark(f"other {name}") for name in f"{names} anticipatedRemoval stack allowAttribute hash".split()}
    fields |= {name: f"{SHOP}/{mark(f'other {name}')}" for name in urls.split()}
    script = {"documentURL": f"{SHOP}/", "subresourceURL": f"{CDN}/{mark('script url')}", "hash": f"sha256-{'A' * 43}="}
    script |= {name: mark(f"script {name}") for name in ("type", "destination")}
    entry = {"age": 1, "url": f"{SHOP}/{mark('other url')}", "user_agent": mark("other user_agent")}
    kinds = ("deprecation", "intervention", "crash", "network-error", "coep", "permissions-policy-violation", mark("other"))
    entries = [{**entry, "type": kind, "body": fields} for kind in kinds]
    return json.dumps([*entries, {**entry, "type": "csp-hash", "body": script}])


def interception(mark: Marks, now: int) -> str:
    """One interception with lines of all six kinds."""
    at = (datetime.fromtimestamp(now / 1_000, UTC) - timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    named = {"interception_id": f"i{mark('ai interception_id')}", "metadata": {mark("ai key"): mark("ai metadata")}}
    lines: list[dict[str, Any]] = [
        {"record_type": "interception_start", "started_at": at}
        | {name: mark(f"ai {name}") for name in ("initiator_id", "api_key_id", "provider", "model")},
        {"record_type": "token_usage", "created_at": at, "msg_id": mark("ai msg_id"), "input_tokens": 9, "output_tokens": 4},
        {"record_type": "prompt_usage", "created_at": at, "msg_id": "m", "prompt": mark("ai prompt")},
        {"record_type": "tool_usage", "created_at": at, "server_url": f"https://tools.example/{mark('ai server_url')}"}
        | {name: mark(f"ai {name}") for name in ("tool", "input", "invocation_error", "tool_call_id")},
        {"record_type": "model_thought", "created_at": at, "content": mark("ai content")},
        {"record_type": "interception_end", "ended_at": at},
    ]
    said = {"msg": mark("ai msg"), "trace": mark("ai trace"), "span": mark("ai span")}
    return "".join(json.dumps({**said, "fields": {**named, **fields}}) + "\n" for fields in lines)


def agents(mark: Marks) -> str:
    """A row of agent stats."""
    ids = {f"{name}_id": f"x{mark(f'agent {name}_id')}" for name in ("agent", "workspace", "user", "template")}
    names = {name: mark(f"agent {name}") for name in ("agent_name", "workspace_name", "username", "template_name")}
    return json.dumps([{**ids, **names, "id": mark("agent id"), "stats": own_stats(mark)}])


def own_stats(mark: Marks) -> dict[str, Any]:
    """What an agent says of itself."""
    labels = [{"name": mark("label name"), "value": mark("label value")}, {"name": "fine", "value": mark("label fine")}]
    metrics = [{"name": name, "type": "gauge", "value": 1, "labels": labels} for name in (mark("metric"), "fine")]
    protocols = {mark("agent protocol"): 1}
    return {"connections_by_proto": protocols, "rx_bytes": 7_000, "session_count_ssh": 1, "metrics": metrics}


def workspaces(mark: Marks) -> str:
    """A workspace with a build."""
    job = {"completed_at": "2026-09-21T10:01:00Z", "error": mark("workspace error")}
    build = {"build_number": 1, "transition": "start", "created_at": "2026-09-21T10:00:00Z", "job": job}
    texts = {name: f"w{mark(f'workspace {name}')}" for name in ("id", "name", "owner_id", "template_id")}
    return json.dumps([{**texts, "deleted": False, "latest_build": build}])


def telemetry(mark: Marks) -> str:
    """A full telemetry snapshot with an item of each kind."""
    return json.dumps(
        {
            "deployment_id": mark("telemetry deployment_id"),
            "users": [
                {"id": UUID.format(1), "rbac_roles": [mark("telemetry role")]}
                | {name: mark(f"telemetry {name}") for name in ("status", "login_type", "email", "username")}
            ],
            "organizations": [{"id": UUID.format(2), "name": mark("telemetry organization"), "is_default": True}],
            "templates": [{"id": UUID.format(3), "name": mark("telemetry template"), "organization_id": UUID.format(2)}],
            "workspaces": [
                {"id": UUID.format(4), "name": mark("telemetry workspace"), "automatic_updates": mark("telemetry updates")}
                | {"organization_id": UUID.format(2), "owner_id": UUID.format(1), "template_id": UUID.format(3)}
            ],
            "workspace_proxies": [{"id": UUID.format(5)} | {n: mark(f"telemetry proxy {n}") for n in ("name", "display_name")}],
            "provisioner_jobs": [{"id": UUID.format(6), "type": mark("telemetry job"), "error": mark("telemetry error")}],
            "workspace_resources": [{"job_id": UUID.format(6), "transition": mark("telemetry transition")}],
        }
    )


def server(mark: Marks) -> str:
    """A replica of a Coder server."""
    names = ("machine_id", "architecture", "os_type", "os_name", "os_version", "install_source")
    return json.dumps({"id": mark("server id"), **{name: mark(f"server {name}") for name in names}})


def trials(mark: Marks, inside: Inside) -> Iterator[Delivery]:
    """Records under the names of those that try an intake: the page for setting up shows what such a one says."""
    ids = dict.fromkeys(("agent_id", "workspace_id", "user_id", "template_id"), TRIAL_ID)
    names = {name: mark(f"trial {name}") for name in ("agent_name", "workspace_name", "username")}
    yield Delivery("/api/v2/ingest/agent-stats", json.dumps([{**ids, **names, "stats": {}}]), inside.feed)
    tried = {"id": inside.app[DEPLOYMENT], "machine_id": TRIAL_ID, "os_type": mark("trial os_type")}
    yield Delivery("/deployment", json.dumps(tried), {**inside.feed, "X-Coder-Version": mark("trial version")})


def deliveries(inside: Inside, mark: Marks) -> Iterator[Delivery]:
    """Every kind of record on its way in, and what people write by the API."""
    for report in violations(mark):
        yield Delivery(inside.csp_path, report, {"User-Agent": "Mozilla/5.0 " + mark("header user-agent")})
    yield Delivery(inside.csp_path, other_reports(mark), {})
    yield Delivery("/api/v2/ingest/aibridge", interception(mark, inside.app[NOW]()), {**inside.feed, **NDJSON})
    yield Delivery("/api/v2/ingest/agent-stats", agents(mark), inside.feed)
    yield Delivery("/api/v2/ingest/workspaces", workspaces(mark), inside.feed)
    yield Delivery("/deployment", server(mark), {**inside.feed, "X-Coder-Version": mark("server version")})
    yield Delivery("/snapshot", telemetry(mark), inside.feed)
    yield from trials(mark, inside)
    rule = {"directive": mark("rule directive"), "blocked": f"{CDN}{mark('rule blocked')}", "note": mark("rule note")}
    yield Delivery("/api/v2/csp/ignore-rules", json.dumps(rule), inside.owner)
    agent = {name: mark(f"new agent {name}") for name in ("workspace", "user", "template", "name")}
    yield Delivery("/api/v2/agents", json.dumps(agent), inside.owner, (201, 400))
    yield Delivery("/api/v2/projects", json.dumps({"name": mark("project refused")}), inside.owner, (400,))
    origins = {"name": "shop", "allowed_origins": [f"{SHOP}{mark('origin refused')}"]}
    yield Delivery("/api/v2/projects", json.dumps(origins), inside.owner, (400,))
    token = {"token_name": mark("token name"), "lifetime": 3_600_000_000_000}
    yield Delivery("/api/v2/users/me/keys/tokens", json.dumps(token), inside.owner, (201, 400))


async def delivered(inside: Inside, mark: Marks) -> None:
    """Bring a service all of it; an intake may refuse what a field cannot be, and must not fail."""
    for path, body, headers, statuses in deliveries(inside, mark):
        async with inside.client.post(path, data=body, headers={**JSON, **headers}) as answer:
            assert answer.status in statuses, (path, answer.status, await answer.text())
    made = {"workspace": "billing", "user": "grace", "template": "docker", "name": "main"}
    _, agent = await inside.post("/api/v2/agents", json.dumps(made), **inside.owner)
    by_agent = {"Coder-Session-Token": agent["token"]}
    status, _ = await inside.post("/api/v2/workspaceagents/me/report-stats", json.dumps(own_stats(mark)), **by_agent)
    assert status == 200
    listed = await inside.get("/api/v2/csp/violations?sort=count&noise=include")
    change = json.dumps({"state": "acknowledged", "note": mark("state note")})
    async with inside.client.patch(
        f"/api/v2/csp/violations/{listed['results'][0]['id']}", data=change, headers=inside.owner
    ) as answer:
        assert answer.status == 200


async def forced(inside: Inside, mark: Marks) -> None:
    """Write into the store itself what no door lets in, or what comes with answers of other servers."""
    told = {"deployment": mark("upstream deployment"), "version": mark("upstream version")}
    await inside.app[STORE].transact(
        lambda store: note_success(store, told["deployment"], Source.UPSTREAM, at=inside.app[NOW](), version=told["version"])
    )
    names = {"name": mark("project name"), "user": mark("user name"), "rule": mark("noise rule")}
    by = {
        "by": mark("state by"),
        "maker": mark("rule by"),
        "facet": mark("facet value"),
        "origins": json.dumps([SHOP + mark("allowed origin")]),
    }
    statements = (
        "UPDATE projects SET name = :name, allowed_origins = :origins WHERE name = 'default'",
        "UPDATE users SET username = :user WHERE username = 'admin'",
        "UPDATE violations SET noise_rule = :rule WHERE noise_class IS NOT NULL",
        "UPDATE violation_audit SET state_by = :by",
        "UPDATE ignore_rules SET created_by = :maker",
        "UPDATE violation_facets SET value = :facet WHERE kind = 'browser' AND value <> ''",
    )
    for statement in statements:
        given = {name: value for name, value in {**names, **by}.items() if f":{name}" in statement}
        await inside.app[STORE].transact(partial(Connection.execute, statement=sql(statement), parameters=given))
    inside.app[CREDENTIALS].forget(inside.secrets.token)  # it remembers the name


def options(mark: Marks, directory: Path) -> dict[str, str]:
    """Options whose words pages show: prices, noise rules, links."""
    prices = {"currency": mark("currency"), "models": [{"provider": mark("ai provider"), "model": "*", "prices": {"input": 2}}]}
    (directory / "prices.yaml").write_text(json.dumps(prices))  # JSON is YAML
    rule = {
        "name": "own",
        "class": "browser-extension",
        "parts": [mark("noise part").lower()],
        "prefixes": [mark("noise prefix")],
    }
    (directory / "noise.yaml").write_text(json.dumps({"rules": [{**rule, "samples": "own"}]}))
    links = [{"name": mark("link name"), "target": f"https://help.example/{mark('link target')}"}]
    links.append({"name": "bad", "target": f"javascript:alert(1)//{mark('link script')}"})
    return {
        "COLLECTOR_AIBRIDGE_PRICES": str(directory / "prices.yaml"),
        "COLLECTOR_CSP_NOISE_RULES": str(directory / "noise.yaml"),
        "CODER_SUPPORT_LINKS": json.dumps(links),
    }
