"""No secret is in anything that the service says: answers with their heads, metrics, logs in every form, help, documents."""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest

from collector.__main__ import main
from collector.config.options import OPTIONS, Option, OptionType
from collector.routes import ROUTES
from tests.nats import start_nats
from tests.postgres import PostgresServer, start_postgres
from tests.service import Service, run_service

MARKER = "m4rker"
SECRETS = [option for option in OPTIONS if option.secret]
DATABASE = "CODER_PG_CONNECTION_URL"
STREAM = "COLLECTOR_NATS_URL"
# Nobody listens there, so what is asked of it fails, and is logged.
NOWHERE = f"http://127.0.0.1:1/{MARKER}"
# A mark in every secret, also in one that stands within a structure; in the URLs of a database and a stream only when there is
# one.
MARKED = {
    option.env: NOWHERE if option.type is OptionType.URL else f"{option.name} {MARKER}"
    for option in SECRETS
    if option.env not in (DATABASE, STREAM)
} | {
    "CODER_EXTERNAL_AUTH_0_ID": "gh",
    "CODER_EXTERNAL_AUTH_0_CLIENT_SECRET": MARKER,
}
# What stands in for the parameters of a path.
FILLED = {"user": "me", "id": "1", "name": "default", "digest": "0"}


@dataclass
class Talking:
    """A service that logs all it can, in every form."""

    service: Service
    json_log: Path
    stackdriver_log: Path

    def logs(self) -> dict[str, str]:
        """What each form holds by now, and what was printed at the start."""
        texts = {"human": self.service.log, "json": self.json_log.read_text(), "stackdriver": self.stackdriver_log.read_text()}
        assert [form for form, text in texts.items() if "request handled" not in text] == []
        return texts


@contextmanager
def talking(tmp_path: Path, **options: str) -> Iterator[Talking]:
    forms = {"CODER_LOGGING_JSON": str(tmp_path / "json"), "CODER_LOGGING_STACKDRIVER": str(tmp_path / "stackdriver")}
    with run_service(tmp_path, CODER_VERBOSE="true", CODER_SWAGGER_ENABLE="true", **forms, **options) as service:
        yield Talking(service, tmp_path / "json", tmp_path / "stackdriver")


def said_by(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> str:
    """Head and body of an answer, whatever its status."""
    request = urllib.request.Request(
        url, data=body, method=method, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return f"{response.headers}{response.read().decode()}"
    except urllib.error.HTTPError as refusal:
        with refusal:
            return f"{refusal.headers}{refusal.read().decode()}"


def filled(path: str) -> str:
    """A route's path with something in place of its parameters."""
    return re.sub(r"{(\w+)(:[^}]*)?}", lambda match: FILLED[match[1]], path)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Gives all that one command prints in an environment of its own."""
    for name in [name for name in os.environ if name.startswith(("CODER_", "COLLECTOR_"))]:
        monkeypatch.delenv(name)

    def printed(*argv: str, **env: str) -> str:
        with monkeypatch.context() as patch, suppress(SystemExit):
            for name, value in env.items():
                patch.setenv(name, value)
            main(argv)
        return "".join(capsys.readouterr())

    return printed


@pytest.mark.parametrize(
    "where",
    [
        pytest.param("", id="SQLite"),
        pytest.param("postgres:{}@", id="userinfo", marks=pytest.mark.slow),
        pytest.param("postgres@?password={}", id="parameter", marks=pytest.mark.slow),
    ],
)
def test_no_secret_leaves_the_service(tmp_path: Path, request: pytest.FixtureRequest, where: str) -> None:
    """With a mark in every secret, the password of the database in use among them, nothing that anybody gets holds the mark."""
    options = dict(MARKED)
    if where:
        server: PostgresServer = request.getfixturevalue("postgres")
        userinfo, _, parameter = where.format(MARKER).partition("?")
        options[DATABASE] = server.fresh_url().replace("postgres@", userinfo) + (f"&{parameter}" if parameter else "")
    with talking(tmp_path, CODER_UPDATE_CHECK="true", **options) as running:
        service = running.service
        answers = {
            f"{route.method} {route.path} {caller}": said_by(
                service.url + filled(route.path), route.method, None if route.method in ("GET", "OPTIONS") else b"{}", **headers
            )
            for route in ROUTES
            for caller, headers in {"owner": {"Coder_Session_Token": service.admin_token}, "nobody": {}}.items()
        } | {"Prometheus": said_by(service.prometheus_url)}
        listed = service.get("/api/v2/deployment/config")["options"]
        logs = running.logs()

    sources = {option["name"]: option["value_source"] for option in listed}
    assert {sources[option.name] for option in SECRETS if option.env in options} == {"env"}
    assert len(answers["GET /api/v2/deployment/config owner"]) > 100_000
    assert len(answers["Prometheus"]) > 10_000
    assert [name for name, text in (answers | logs).items() if MARKER in text] == []
    assert [form for form, text in logs.items() if "without effect in this service" not in text] == []


@pytest.mark.slow
def test_no_secret_of_the_stream_leaves_the_service(tmp_path: Path) -> None:
    """Neither while NATS takes the password in its URL, nor when it is away, does anybody get to see it."""
    with start_nats(tmp_path / "nats", settings=f"authorization {{ user: ada, password: {MARKER} }}") as (nats,):
        url = nats.url.replace("nats://", f"nats://ada:{MARKER}@")
        with talking(tmp_path, COLLECTOR_NATS_URL=url, COLLECTOR_SUBMIT_TIMEOUT="1s") as running:
            service = running.service
            report = f"{service.url}/csp/reports?key={service.browser_key}", "POST", b'{"csp-report":{"blocked-uri":"eval"}}'
            taken = said_by(*report)
            nats.end()
            answers = [said_by(*report), said_by(f"{service.url}/readyz"), said_by(service.prometheus_url)]
            logs = running.logs()

    assert '"ok"' in taken
    assert "JetStream does not acknowledge" in answers[0]
    assert [text for text in [*answers, *logs.values()] if MARKER in text] == []


@pytest.mark.slow
def test_no_secret_is_told_over_a_whole_life(tmp_path: Path) -> None:
    """A start, sign-ins that fail, a database that is stopped with what is asked of it then, its return, and the end."""
    with start_postgres(tmp_path / "postgres") as server:
        url = server.fresh_url().replace("postgres@", f"postgres:{MARKER}@")
        with talking(tmp_path, CODER_PG_CONNECTION_URL=url, COLLECTOR_SUBMIT_TIMEOUT="500ms") as running:
            service = running.service
            report = f"{service.url}/csp/reports?key={service.browser_key}", "POST", b'{"csp-report":{"blocked-uri":"eval"}}'
            typed = (f"{MARKER[:6]:0<10}-{MARKER:0<22}", MARKER, f"https://ada:{MARKER}@x/", f"{MARKER}\r\n{MARKER}")

            def everything() -> list[str]:
                forms = [urlencode({"token": token, "next": "/csp"}).encode() for token in typed]
                signed = [said_by(f"{service.url}/signin", "POST", form, Sec_Fetch_Site="same-origin") for form in forms]
                paths = ("/readyz", "/api/v2/deployment/stats", "/api/v2/csp/violations", "/metrics", "/", "/setup")
                asked = [said_by(service.url + path, Coder_Session_Token=service.admin_token) for path in paths]
                return [*signed, *asked, said_by(*report), said_by(service.prometheus_url)]

            said = everything()
            server.stop()
            said += everything()
            assert "503" in running.logs()["json"]
            server.start()
            while '"ok"' not in said_by(*report):
                pass
            said += everything()
            service.stop()
            logs = running.logs()

    assert [form for form, text in logs.items() if "stopped" not in text] == []
    assert [text for text in [*said, *logs.values()] if MARKER in text] == []


@pytest.mark.slow
def test_no_credential_stays_in_a_log(tmp_path: Path) -> None:
    """However a token or a feed key is presented, also where it does not belong, no log has it, and no answer gives it back."""
    with talking(tmp_path) as running:
        service = running.service
        token, key = service.admin_token, service.feed_key
        asked, rows = f"{service.url}/api/v2/deployment/stats", f"{service.url}/api/v2/ingest/agent-stats"
        answers = [
            said_by(asked, Cookie=f"coder_session_token={token}"),
            said_by(asked, Coder_Session_Token=token),
            said_by(asked, Authorization=f"Bearer {token}"),
            said_by(f"{asked}?coder_session_token={token}"),
            said_by(f"{asked}?access_token={token}"),
            said_by(rows, "POST", b"[]", Authorization=f"Bearer {key}"),
            said_by(f"{rows}?key={key}", "POST", b"[]"),
            said_by(f"{service.url}/api/v2/users/me/keys/tokens/{'0' * 10}{token[10:]}", "DELETE", Coder_Session_Token=token),
            said_by(f"{service.url}/api/v2/{token}/{key}", Coder_Session_Token=token),
        ]
        said_by(f"{service.url}/api/v2/users/{token}/keys/tokens", Coder_Session_Token=token)  # quotes what it does not know
        logs = running.logs()

    secrets = token.partition("-")[2], key[10:]
    assert [text for text in [*answers, *logs.values()] if any(secret in text for secret in secrets)] == []


@pytest.mark.parametrize(
    "argv",
    [
        ["serve", "--help"],
        ["serve", "--help-all"],
        ["demo", "--help"],
        ["config", "show"],
        ["config", "show", "--help"],
        ["config", "write"],
        ["serve", "--write-config"],
        ["config", "docs"],
        ["api", "docs"],
        ["api", "openapi"],
        ["metrics", "docs"],
    ],
    ids=" ".join,
)
def test_no_secret_is_printed(said: Callable[..., str], argv: list[str]) -> None:
    """Neither help nor what prints options or documents shows the mark, and ``config show`` says that there is a secret."""
    servers = {DATABASE: f"postgres://ada:{MARKER}@db.example/collector", STREAM: f"nats://ada:{MARKER}@nats.example"}
    printed = said(*argv, **MARKED, **servers)

    assert len(printed) > 1_000
    assert MARKER not in printed
    assert ("********" in printed) == (argv == ["config", "show"])


@pytest.mark.parametrize("option", SECRETS, ids=lambda option: option.label)
def test_no_secret_is_in_a_refusal(said: Callable[..., str], option: Option) -> None:
    """A secret that cannot be read, or stands under a wrong flag, is refused without being repeated."""
    unreadable = said("config", "show", f'--{option.flag}="{MARKER}\0')
    misspelt = [said("serve", f"--{option.flag}x", MARKER), said("serve", f"--{option.flag}x={MARKER}")]

    assert option.label in unreadable
    assert [f"--{option.flag}x" in printed for printed in misspelt] == [True, True]
    assert MARKER not in "".join([unreadable, *misspelt])


@pytest.mark.parametrize(
    "url",
    [f"sqlite:///{MARKER}", f"postgres://ada:{MARKER}@127.0.0.1:1/collector"],
    ids=["of another kind", "without an answer"],
)
def test_a_start_that_fails_names_no_secret(said: Callable[..., str], url: str, tmp_path: Path) -> None:
    """The line that says why the service does not start names the database, never its password."""
    printed = said("migrate", COLLECTOR_DATA_DIR=str(tmp_path), CODER_PG_CONNECTION_URL=url)

    assert "collector: " in printed
    assert MARKER not in printed


def test_a_structure_with_a_secret_is_refused_without_it(said: Callable[..., str]) -> None:
    """A provider that cannot be read may hold its secret: the text is not repeated."""
    printed = said("config", "show", "--external-auth-providers", f"[{{client_secret: {MARKER}, nam: x}}]")

    assert "external-auth-providers" in printed
    assert MARKER not in printed
