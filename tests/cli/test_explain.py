"""``collector csp explain``: what becomes of a body, without a service or a database."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from collector.__main__ import main
from tests.service import ROOT

PAYLOADS = ROOT / "tests" / "payloads" / "csp"
KEYS = [
    "type",
    "effective_directive",
    "blocked_kind",
    "blocked_origin",
    "document_origin",
    "disposition",
    "noise_class",
    "fingerprint",
]


@pytest.fixture(autouse=True)
def _no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wanted a database would find none, and no place to make one."""
    monkeypatch.setenv("COLLECTOR_DATA_DIR", str(tmp_path / "nowhere" / "data"))
    monkeypatch.setenv("CODER_PG_CONNECTION_URL", "postgres://127.0.0.1:1/nowhere")


def test_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Accepted entries are JSON lines in body order, refused ones are lines with the reason; one accepted is exit code 0."""
    label = json.loads((PAYLOADS / "batch-with-bad-entries.label.json").read_bytes())

    assert main(["csp", "explain", str(PAYLOADS / "batch-with-bad-entries.body")]) == 0

    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert [list(line) for line in lines] == [KEYS] * len(label["accepted"])
    assert [{k: v for k, v in line.items() if k != "fingerprint"} for line in lines] == label["accepted"]
    assert all(isinstance(line["fingerprint"], str) for line in lines)
    assert len(captured.err.splitlines()) == label["refused"]
    assert all(line.startswith("refused: entry ") for line in captured.err.splitlines())
    assert list(tmp_path.iterdir()) == []


def test_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A dash reads standard input; the content type may be said and changes nothing."""
    body = (PAYLOADS / "chromium-legacy-image.body").read_bytes()
    printed = []
    for content_type in ("application/csp-report", "text/plain"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(body)))
        assert main(["csp", "explain", "--content-type", content_type, "-"]) == 0
        printed.append(capsys.readouterr().out)
    assert json.loads(printed[0])["effective_directive"] == "img-src"
    assert printed[0] == printed[1]


@pytest.mark.parametrize(
    "name", ["invalid-cut-off", "invalid-no-shape", "invalid-single-quotes", "invalid-nothing", "empty-report"]
)
def test_refused(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """A body of which nothing is accepted is exit code 1, with the reason on standard error and nothing else."""
    assert main(["csp", "explain", str(PAYLOADS / f"{name}.body")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("refused: ")
    assert len(captured.err.splitlines()) == 1
    assert len(captured.err.strip()) > len("refused: ")


@pytest.mark.parametrize(
    ("body", "limit"),
    [(b"[" + b" " * (1 << 20) + b"]", "1048576"), (b'{"csp-report":{"document-uri":"' + b"x" * 70_000 + b'"}}', "65536")],
    ids=["batch", "object"],
)
def test_a_body_larger_than_any_request(tmp_path: Path, capsys: pytest.CaptureFixture[str], body: bytes, limit: str) -> None:
    """What the service would refuse for its size is misuse, and never looked at."""
    file = tmp_path / "body"
    file.write_bytes(body)
    assert main(["csp", "explain", str(file)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert limit in captured.err


@pytest.mark.slow
def test_the_process() -> None:
    """As a process: bytes on standard input, JSON on standard output, the code as documented."""
    command = [sys.executable, "-m", "collector", "csp", "explain", "-"]
    codes = []
    for name in ("safari-single-entry", "invalid-scalar"):
        body = (PAYLOADS / f"{name}.body").read_bytes()
        ended = subprocess.run(command, cwd=ROOT, env=os.environ, input=body, check=False, capture_output=True, timeout=60)
        codes.append((ended.returncode, bool(ended.stdout), bool(ended.stderr)))
    assert codes == [(0, True, False), (1, False, True)]
