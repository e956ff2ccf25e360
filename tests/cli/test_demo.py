"""The demo keeps to itself, plays one fleet, and does not die in silence."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from collector.__main__ import main
from collector.cli import demo
from collector.config.loading import load
from collector.simulate.plan import Plan
from tests.inside import Inside


def test_the_demo_has_a_directory_of_its_own(tmp_path: Path) -> None:
    """Invented data never comes among what was collected, wherever that is, and a log line says where it goes."""
    settings = load({}, {"COLLECTOR_DATA_DIR": str(tmp_path)}).settings
    with capture_logs() as logged:
        own = demo.apart(settings)

    assert own.data_dir == tmp_path / "demo"
    assert own.database_url == f"sqlite:///{tmp_path}/demo/collector.db"
    assert [line["path"] for line in logged] == [str(tmp_path / "demo")]


def test_the_demo_touches_no_postgres(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A PostgreSQL database is refused in one line that names the option and shows no password."""
    monkeypatch.setenv("CODER_PG_CONNECTION_URL", "postgres://me:hidden@127.0.0.1:1/x?sslmode=disable")

    assert main(["demo"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("collector: CODER_PG_CONNECTION_URL")
    assert "hidden" not in last


async def test_a_fleet_that_dies_is_logged_at_once() -> None:
    """Its error is in the log while the service goes on; one that was told to stop is not."""

    async def dying() -> None:
        raise OSError("no more fleet")

    async def playing() -> None:
        await asyncio.Event().wait()

    with capture_logs() as logged:
        await asyncio.wait([demo.watched(dying())])
        told = demo.watched(playing())
        told.cancel()
        await asyncio.wait([told])

    assert [str(line["exc_info"]) for line in logged] == ["no more fleet"]


async def test_the_same_fleet_goes_on(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hour after hour the plan has the same seed, and so the same workspaces."""
    plans: list[Plan] = []
    enough = asyncio.Event()

    async def hour(plan: Plan, **_: Any) -> None:
        plans.append(plan)
        if len(plans) == 3:
            enough.set()
        await asyncio.sleep(0)

    monkeypatch.setattr(demo, "run", hour)
    app: web.Application = inside.app
    playing = demo.watched(demo.present(app, inside.url))
    await enough.wait()
    playing.cancel()
    await asyncio.wait([playing])

    assert len({plan.seed for plan in plans}) == 1
