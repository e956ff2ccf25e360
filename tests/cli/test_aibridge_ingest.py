"""``collector aibridge ingest`` against a running service."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.__main__ import main
from collector.cli import aibridge
from collector.cli.aibridge_progress import progress
from tests.aibridge import DEVELOPMENT, start, synthetic
from tests.postgres import free_port
from tests.service import Service, run_service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One running service for all tests."""
    with run_service(tmp_path_factory.mktemp("service")) as running:
        yield running


def ingest(service: Service, file: Path | str, *flags: str, url: str = "") -> int:
    """The exit code of the command."""
    where = ["--url", url or service.url, "--feed-key", service.feed_key]
    return main(["aibridge", "ingest", str(file), *where, *flags])


def test_a_file_and_the_same_again(service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It shows how far it is, says what became of the log, and the second time that all was known."""
    log = list(synthetic(700_000))
    file = tmp_path / "log"
    file.write_bytes(b"".join(log))

    assert ingest(service, file) == 0
    first = capsys.readouterr()
    assert ingest(service, file, "--json") == 0
    second = capsys.readouterr()

    assert first.out.startswith(f"{len(log)} records accepted, 0 known already, 0 lines rejected")
    assert f"0.7 of 0.7 MB, {len(log):,} lines sent" in first.err
    assert json.loads(second.out)["duplicate"] == len(log)


def test_standard_input_and_refused_lines(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``-`` reads from a pipe; refused lines are named and cost the exit code."""
    log = io.BytesIO(start().encode() + b"nonsense\n" * 25)
    monkeypatch.setattr(log, "seekable", lambda: False)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(log))

    assert ingest(service, "-") == 1
    shown = capsys.readouterr()
    assert "1 records accepted" in shown.out
    assert "line 2: This is neither JSON nor a line of a log." in shown.err
    assert "… and 5 more" in shown.err


def test_misuse(service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not there, an address that is none, and a key that is unknown are one line each."""
    file = tmp_path / "log"
    file.write_bytes(DEVELOPMENT)

    assert ingest(service, tmp_path / "none") == 2
    assert ingest(service, file, url="nowhere") == 2
    assert main(["aibridge", "ingest", str(file), "--url", service.url, "--feed-key", "x" * 32]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "No such file" in lines[0]
    assert "must be like" in lines[1]
    assert any("401" in text for text in lines)


def test_a_service_that_does_not_answer(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again, and then the log may be sent again by hand."""
    monkeypatch.setattr(aibridge, "PAUSE_S", 0.0)
    file = tmp_path / "log"
    file.write_bytes(DEVELOPMENT)

    assert ingest(service, file, url=f"http://127.0.0.1:{free_port()}") == 1
    assert "What it stored before counts once: send again." in capsys.readouterr().err


def test_a_terminal_sees_a_bar() -> None:
    """Bytes, speed and lines are drawn where somebody looks."""
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]

    with progress(terminal, 2_000_000) as show:
        show(1_000_000, 1_234)

    assert "1.0/2.0 MB" in terminal.getvalue()
    assert "1,234 lines" in terminal.getvalue()
