"""/deployment/config of a running service."""

from __future__ import annotations

from pathlib import Path

from tests.inside import Inside, running
from tests.page import PAGE, differences

PATH = "/api/v2/deployment/config"


async def test_the_live_answer_has_the_page_s_structure(standing: Inside) -> None:
    """No key of the page is missing and no JSON type differs; the answer is the same bytes each time."""
    assert differences(PAGE["GET /deployment/config"], await standing.get(PATH)) == []

    async with (
        standing.client.get(PATH, headers=standing.owner) as first,
        standing.client.get(PATH, headers=standing.owner) as second,
    ):
        assert await first.read() == await second.read()
        assert first.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_it_says_what_the_service_runs_with(tmp_path: Path) -> None:
    """The values are those of this process, with their sources."""
    async with running("sqlite", tmp_path, COLLECTOR_QUEUE_LIMIT="777", CODER_SSH_KEYGEN_ALGORITHM="ecdsa") as inside:
        found = await inside.get(PATH)

    by_name = {option["name"]: option for option in found["options"]}
    assert (by_name["Queue Limit"]["value"], by_name["Queue Limit"]["value_source"]) == (777, "env")
    assert found["config"]["ssh_keygen_algorithm"] == "ecdsa"
