"""What the rules matched is read from the service, survives it, and follows a change of rules at the next start."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.__main__ import main
from collector.normalize.noise import RULES
from tests.postgres import PostgresServer
from tests.service import Service, run_service

RULES_FILE = """
disable: [adware-host]
rules:
  - name: our-probe
    class: security-software
    hosts: [probe.example]
    where: [blocked]
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    """A service of its own, once on each kind of database: it is restarted with other rules."""
    options = {}
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        options["CODER_PG_CONNECTION_URL"] = server.fresh_url()
    with run_service(tmp_path / "service", **options) as running:
        yield running


def post(service: Service, blocked: str) -> None:
    """One report of a blocked script."""
    report = {"document-uri": "https://shop.example/", "effective-directive": "script-src-elem", "blocked-uri": blocked}
    url = f"{service.url}/csp/reports?key={service.browser_key}"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps({"csp-report": report}).encode()), timeout=10):
        pass


def listed(service: Service) -> dict[str, tuple[int, str | None, str | None]]:
    """Count, class and rule of every violation, by what it blocks."""
    found = service.get("/api/v2/csp/violations?noise=include")["results"]
    return {each["blocked_origin"]: (each["count"], each["noise_class"], each["noise_rule"]) for each in found}


@pytest.mark.slow
def test_rules_and_their_matches(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A preview says what a file would move; after a restart with it that has moved, and no counter has fallen."""
    for blocked in ("https://a.probe.example", "https://superfish.com", "https://superfish.com", "https://cdn.example"):
        post(service, blocked)
    matched = {rule["name"]: rule["matches"] for rule in service.get("/api/v2/csp/noise/rules")["results"]}
    assert list(matched) == [rule.name for rule in RULES]
    assert {name: count for name, count in matched.items() if count} == {"adware-host": 2}
    before = service.counted()
    assert 'collector_noise_rule_matches_total{rule="adware-host"} 2' in before.splitlines()

    file = tmp_path / "rules.yaml"
    file.write_text(RULES_FILE)
    for name in ("COLLECTOR_DATA_DIR", "CODER_PG_CONNECTION_URL"):
        monkeypatch.setenv(name, service.env.get(name, ""))
    assert main(["csp", "noise", "test", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "       1 violations           2 reports  injected-adware -> no noise",
        "       1 violations           1 reports  no noise -> security-software by our-probe",
        "2 violations would move.",
    ]
    assert listed(service)["https://superfish.com"] == (2, "injected-adware", "adware-host")

    service.env["COLLECTOR_CSP_NOISE_RULES"] = str(file)
    service.restart()
    while service.get("/api/v2/csp/noise/rules")["rejudging"]:
        pass
    assert listed(service) == {
        "https://a.probe.example": (1, "security-software", "our-probe"),
        "https://superfish.com": (2, None, None),
        "https://cdn.example": (1, None, None),
    }
    post(service, "https://a.probe.example")
    assert listed(service)["https://a.probe.example"] == (2, "security-software", "our-probe")

    first, *_ = service.get("/api/v2/csp/noise/rules")["results"]
    assert (first["name"], first["class"], first["shipped"], first["matches"]) == ("our-probe", "security-software", False, 1)
    after = service.counted().splitlines()
    for line in before.splitlines():
        if line.startswith(("collector_csp_reports_total", "collector_noise_rule_matches_total")):
            assert line in after
    assert 'collector_noise_rule_matches_total{rule="our-probe"} 1' in after


def test_a_faulty_file_keeps_the_service_from_starting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rule and the key are named in one line, by the service and by the preview."""
    file = tmp_path / "rules.yaml"
    file.write_text("rules:\n  - name: ours\n    class: browser-bug\n    host: [x.example]\n")
    said = f"collector: Noise rules {str(file)!r}: rule 'ours': Object contains unknown field `host`"

    assert main(["csp", "noise", "test", str(file)]) == 2
    assert capsys.readouterr().err.strip() == said
    assert main(["serve", "--csp-noise-rules", str(file), "--data-dir", str(tmp_path / "data")]) == 2
    assert said in capsys.readouterr().err
