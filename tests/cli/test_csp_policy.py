"""``collector csp policy`` and ``collector csp header``, beside a running service, on both databases."""

from __future__ import annotations

import asyncio
import json

import pytest

from collector.__main__ import main
from tests.inside import Inside

REPORT = json.dumps(
    {
        "csp-report": {
            "document-uri": "https://shop.example/cart",
            "blocked-uri": "https://cdn.example/a.png",
            "effective-directive": "img-src",
            "original-policy": "img-src 'self'",
        }
    }
)
ENOUGH = ("--reports", "1", "--clients", "1", "--days", "1")


pytestmark = pytest.mark.usefixtures("its_database")


async def run(*argv: str) -> int:
    """The exit code of a command, which has an event loop of its own."""
    return await asyncio.to_thread(main, ["csp", *argv])


async def test_policy(inside: Inside, capsys: pytest.CaptureFixture[str]) -> None:
    """The policy alone is on standard output, and what speaks for it on standard error; as JSON it is the API's answer."""
    assert (await inside.post(inside.csp_path, REPORT))[0] == 200

    assert await run("policy", "--project", "default", *ENOUGH) == 0
    printed = capsys.readouterr()
    assert printed.out == "img-src 'self' https://cdn.example\n"
    assert "+ img-src https://cdn.example  [1 reports, 1 clients, 1 days]" in printed.err

    assert await run("policy", "--project", "default", *ENOUGH, "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == await inside.get("/api/v2/csp/policy?project=default&reports=1&clients=1&days=1")


async def test_replay_and_strict(inside: Inside, capsys: pytest.CaptureFixture[str]) -> None:
    """A policy can be tried on what was reported, and the way to a strict one be shown."""
    assert (await inside.post(inside.csp_path, REPORT))[0] == 200

    assert await run("policy", "--project", "default", "--replay", "--policy", "img-src https://cdn.example") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("allowed  img-src https://cdn.example")
    assert lines[1].startswith("unknown  img-src 'self'")
    assert lines[-1] == "complete: no"
    assert await run("policy", "--project", "default", "--strict") == 0
    assert "'strict-dynamic'" in capsys.readouterr().out


async def test_misuse() -> None:
    """What cannot be done as asked is misuse."""
    for argv in (
        ("policy", "--project", "default", "--replay"),
        ("policy", "--project", "default", "--reports", "-1"),
        ("header", "--project", "default"),
        ("header", "--project", "default", "--base-url", "nowhere"),
    ):
        assert await run(*argv) == 2, argv


async def test_header(inside: Inside, capsys: pytest.CaptureFixture[str]) -> None:
    """The lines can be pasted as they are: enforced or only reported, and with one way of reporting over plain http."""
    endpoint = f"https://c.example/csp/reports?key={inside.secrets.browser_key}"
    assert await run("header", "--project", "default", "--base-url", "https://c.example", "--report-only") == 0
    assert capsys.readouterr().out.splitlines() == [
        f'Reporting-Endpoints: csp="{endpoint}"',
        f"Content-Security-Policy-Report-Only: default-src 'self'; report-uri {endpoint}; report-to csp",
    ]

    assert await run("header", "--project", "default", "--base-url", "https://c.example") == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("Content-Security-Policy: default-src 'self'; ")

    assert await run("header", "--project", "default", "--base-url", "http://c.example", "--observe") == 0
    printed = capsys.readouterr()
    (line,) = printed.out.splitlines()
    assert line.startswith("Content-Security-Policy-Report-Only: default-src 'none'; script-src 'report-sample'")
    assert "report-to" not in line
    assert "one in a hundred" in printed.err
