"""Users and tokens from the command line: who there is, and what a token may be narrowed to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from collector.__main__ import main
from tests.inside import Inside

Said = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def said(its_database: None, capsys: pytest.CaptureFixture[str]) -> Said:  # noqa: ARG001
    """Runs a command beside the service; gives its exit code and all that it printed."""

    async def run(*argv: str) -> tuple[int, str]:
        capsys.readouterr()
        code = await asyncio.to_thread(main, argv)
        return code, "".join(capsys.readouterr())

    return run


async def test_users_are_listed(said: Said) -> None:
    """By name, each with its role and its id."""
    await said("user", "create", "zoe", "--role", "auditor")
    code, shown = await said("user", "list")

    assert code == 0
    assert [line.split()[:2] for line in shown.splitlines()] == [["admin", "owner"], ["zoe", "auditor"]]


async def test_a_token_is_narrowed_and_named(inside: Inside, said: Said) -> None:
    """With --scope it opens that alone; the list shows what it is called and what it opens."""
    scope = ("--scope", "csp_violation:read", "--scope", "metrics:read")
    code, token = await said("token", "create", "--user", "admin", "--name", "grafana", "--quiet", *scope)
    assert code == 0
    statuses = []
    for path in ("/api/v2/csp/violations", "/metrics", "/api/v2/deployment/config"):
        async with inside.client.get(path, headers={"Coder-Session-Token": token.strip()}) as response:
            statuses.append(response.status)

    assert statuses == [200, 200, 403]
    _, shown = await said("token", "list", "--user", "admin")
    (line,) = [line for line in shown.splitlines() if line.startswith(token[:10])]
    assert "  grafana  " in line
    assert line.endswith("opens csp_violation:read, metrics:read alone")


async def test_a_lifetime_has_the_limit_of_the_role(said: Said) -> None:
    """As over the API: for an owner a week, unless an option says otherwise."""
    await said("user", "create", "zoe", "--role", "auditor")

    for user, asked, code in (("admin", "168h", 0), ("admin", "169h", 2), ("zoe", "90d", 0)):
        assert (await said("token", "create", "--user", user, "--lifetime", asked))[0] == code, (user, asked)


async def test_a_name_is_one_line(said: Said) -> None:
    """A name that would break the list is refused."""
    assert (await said("token", "create", "--user", "admin", "--name", "a\nb"))[0] == 2
