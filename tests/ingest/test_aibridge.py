"""Logs posted to a running collector."""

from __future__ import annotations

import asyncio
import gzip
import io
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from sqlalchemy import func, select

from collector.config.loading import load
from collector.config.logs import configure_logging
from collector.http.appkeys import STORE, WRITER
from collector.ingest.aibridge import CHUNK
from collector.ingest.aibridge_log import moment
from collector.persist.aibridge_tables import aibridge_token_usages
from tests.aibridge import DEVELOPMENT, SERVER_HUMAN, SERVER_JSON, line, start, sums, synthetic
from tests.inside import Inside, running

ROUTE = "/api/v2/ingest/aibridge"
USAGE = "/api/v2/aibridge/usage"


async def posted(inside: Inside, log: bytes | str, **headers: str) -> dict[str, Any]:
    """The receipt for ``log``."""
    body = io.BytesIO(log.encode() if isinstance(log, str) else log)
    async with inside.client.post(ROUTE, data=body, headers={**inside.feed, **headers}) as response:
        assert response.status == 200, await response.text()
        receipt: dict[str, Any] = await response.json()
    return receipt


async def total(inside: Inside) -> dict[str, Any]:
    """Usage in all."""
    answer = await inside.get(USAGE)
    found: dict[str, Any] = answer["total"]
    return found


async def test_a_log_of_some_megabytes(inside: Inside) -> None:
    """What is shown is what the log adds up to, counted without the collector; the same log again adds nothing."""
    log = list(synthetic(2_000_000))
    own = sums(log)
    assert len(log) > 3 * CHUNK

    first = await posted(inside, b"".join(log))
    used = await total(inside)
    again = await posted(inside, gzip.compress(b"".join(log)), **{"Content-Encoding": "gzip"})

    assert (first["accepted"], first["duplicate"], first["rejected_count"]) == (len(log), 0, 0)
    assert (again["accepted"], again["duplicate"]) == (0, len(log))
    assert (used["interceptions"], used["prompts"]) == (own["interception_start"], own["prompt_usage"])
    assert (used["tool_calls"], used["errors"]) == (own["tool_usage"], own["errors"])
    for kind in ("input", "output", "cache_read_input", "cache_creation_input"):
        assert used["tokens"][kind] == own[kind]
    assert await total(inside) == used


async def test_the_sample_lines(inside: Inside) -> None:
    """The lines of one interception, as a development script shows them, are all understood."""
    assert await posted(inside, DEVELOPMENT) == {
        "accepted": 6,
        "duplicate": 0,
        "skipped": 0,
        "rejected_count": 0,
        "rejected": [],
    }

    used = await total(inside)
    assert (used["interceptions"], used["prompts"], used["tool_calls"]) == (1, 1, 1)
    assert (used["tokens"]["input"], used["tokens"]["output"]) == (10, 138)
    assert used["tokens"]["cache_creation_input"] == 53_194


async def test_both_logs_of_a_server_are_one(inside: Inside) -> None:
    """What has come as JSON is known when it comes as a log for people."""
    first, second = await posted(inside, SERVER_JSON), await posted(inside, SERVER_HUMAN)

    assert (first["accepted"], first["skipped"]) == (7, 1)
    assert (second["accepted"], second["duplicate"], second["skipped"]) == (0, 7, 1)


async def test_refused_lines_are_named(inside: Inside) -> None:
    """The others are stored; at most 1,000 refusals are listed, all are counted."""
    receipt = await posted(inside, start() + line("token_usage", input_tokens=-1) + "nonsense\n" * 1_200 + line("prompt_usage"))

    assert (receipt["accepted"], receipt["rejected_count"], len(receipt["rejected"])) == (2, 1_201, 1_000)
    assert receipt["rejected"][0] == {"line": 2, "error": "input_tokens: Expected `int` >= 0"}
    assert receipt["rejected"][1]["line"] == 3


@pytest.mark.parametrize(
    "log",
    [
        pytest.param(list(synthetic(900_000)), id="many small records"),
        pytest.param([line("token_usage", x="y" * 900_000, input_tokens=n).encode() for n in range(9)], id="few large lines"),
    ],
)
async def test_after_a_cut_the_log_is_sent_again(inside: Inside, log: list[bytes]) -> None:
    """What was committed before the connection broke is known; the rest completes it."""
    committed = select(func.count()).select_from(aibridge_token_usages)

    async def cut() -> AsyncIterator[bytes]:
        for part in log[:-1]:
            yield part
        async with asyncio.timeout(30):
            while not await inside.app[STORE].read(lambda c: c.scalar(committed)):
                pass
        raise ConnectionAbortedError

    with pytest.raises((ConnectionAbortedError, aiohttp.ClientError)):
        await inside.client.post(ROUTE, data=cut(), headers=inside.feed)
    receipt = await posted(inside, b"".join(log))

    assert receipt["duplicate"] > 0
    assert receipt["accepted"] > 0
    assert receipt["accepted"] + receipt["duplicate"] == len(log)


async def test_a_full_store_takes_nothing(tmp_path: Path) -> None:
    """503 says that nothing was stored."""
    async with running("sqlite", tmp_path, COLLECTOR_MAX_STORE_BYTES="1") as inside:
        async with asyncio.timeout(30):
            while not inside.app[WRITER].refusing:  # until it has been measured
                await inside.client.get("/healthz")
        status, refusal = await inside.post(ROUTE, DEVELOPMENT, **inside.feed)

        assert status == 503
        assert "0 records before that are stored: send the same again." in refusal["detail"]
        assert (await total(inside))["interceptions"] == 0


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    """Then no log is taken, and usage is readable all the same."""
    async with running("sqlite", tmp_path, CODER_AIBRIDGE_ENABLED="false") as inside:
        async with inside.client.post(ROUTE, data=DEVELOPMENT, headers=inside.feed) as response:
            assert response.status == 403
            assert (await response.json())["detail"] == "CODER_AIBRIDGE_ENABLED is false."
        assert (await total(inside))["interceptions"] == 0


async def test_usage_is_asked_for_by_group(inside: Inside) -> None:
    """Each result names its group, and says what is wrong with a parameter."""
    await posted(inside, DEVELOPMENT)
    answer = await inside.get(f"{USAGE}?group_by=day,model")

    (result,) = answer["results"]
    assert (result["day"], result["model"]) == ("2026-01-13", "claude-opus-4-5-20251101")
    assert "provider" not in result
    assert (answer["currency"], result["cost"], result["duration_ms"]) == (None, None, {"p50": 5465.0, "p95": 5465.0})
    for nothing in ("to=2026-01-13T15:00:00Z", "from=2026-01-14T00:00:00Z"):
        assert (await inside.get(f"{USAGE}?{nothing}"))["total"]["interceptions"] == 0
    for wrong, name in (("group_by=colour", "group_by"), ("from=then", "from")):
        async with inside.client.get(f"{USAGE}?{wrong}", headers=inside.owner) as response:
            assert response.status == 400
            assert (await response.json())["validations"][0]["field"] == name


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Both log files of the collector; afterwards the process logs as before."""
    paths = tmp_path / "human.log", tmp_path / "json.log"
    configure_logging(load({}, {"CODER_LOGGING_HUMAN": str(paths[0]), "CODER_LOGGING_JSON": str(paths[1])}).settings)
    yield paths
    configure_logging(load({}, {"CODER_LOGGING_HUMAN": "", "CODER_LOGGING_JSON": ""}).settings)
    for handler in logging.getLogger().handlers:
        handler.close()
    structlog.reset_defaults()


@pytest.mark.parametrize("store_prompts", [True, False])
async def test_records_are_logged_as_they_came(tmp_path: Path, logged: tuple[Path, Path], store_prompts: bool) -> None:
    """With structured logging each new record is a line in both forms, the form for people like the one that it came in."""
    options = {"CODER_AIBRIDGE_STRUCTURED_LOGGING": "true", "COLLECTOR_AIBRIDGE_STORE_PROMPTS": str(store_prompts).lower()}
    async with running("sqlite", tmp_path / "data", **options) as inside:
        await posted(inside, DEVELOPMENT)
        await posted(inside, DEVELOPMENT)
        printed = [text for text in logged[0].read_text().splitlines() if "coderd.aibridgedserver: " in text]
        as_json = [text for text in logged[1].read_text().splitlines() if '"aibridgedserver"' in text]
        again = await posted(inside, "\n".join((*printed, *as_json)) + "\n")

    came = [text.partition("[info]")[2] for text in DEVELOPMENT.decode().splitlines()]
    if store_prompts:
        assert [text.partition("[info]")[2] for text in printed] == came
        assert (again["accepted"], again["duplicate"]) == (0, 12)
        return
    assert len(printed) == len(as_json) == 6
    assert 'prompt=""  prompt_length=27  prompt_hash=' in printed[3]
    assert 'input=""  input_length=17  input_hash=' in printed[5]
    assert [text.partition("[info]")[2] for text in (*printed[:3], printed[4])] == [*came[:3], came[4]]


async def test_no_text_is_in_the_file_unless_wanted(tmp_path: Path) -> None:
    """Prompts, inputs and thoughts are nowhere in the database, searched as bytes."""
    for store_prompts in (False, True):
        data = tmp_path / str(store_prompts)
        async with running("sqlite", data, COLLECTOR_AIBRIDGE_STORE_PROMPTS=str(store_prompts).lower()) as inside:
            await posted(inside, SERVER_JSON)
        found = b"".join(path.read_bytes() for path in data.glob("collector.db*"))

        assert b"example_tool" in found
        for text in (b"first line of a prompt", b"value with space", b"they want two lines"):
            assert (text in found) == store_prompts


async def test_costs_are_in_the_answer(tmp_path: Path) -> None:
    """With a price list usage says what it cost."""
    prices = Path(__file__).parents[2] / "docs/aibridge-prices.example.yaml"
    async with running("sqlite", tmp_path, COLLECTOR_AIBRIDGE_PRICES=str(prices)) as inside:
        await posted(inside, start(model="example-large-1") + line("token_usage", output_tokens=2_000_000))
        answer = await inside.get(USAGE)

    assert (answer["currency"], answer["total"]["cost"], answer["total"]["unpriced_tokens"]) == ("EUR", 20.0, 0)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_768_319_426_255_555_470, "2026-01-13T15:50:26.25555547Z"),
        (1_768_319_420_000_000_001, "2026-01-13T15:50:20.000000001Z"),
    ],
)
def test_times_are_written_as_go_writes_them(nanoseconds: int, text: str) -> None:
    """Up to nine digits, without zeros at the end."""
    assert moment(nanoseconds) == text
