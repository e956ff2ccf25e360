"""A log line is one line, in both forms, whatever the values hold."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from collector.config.loading import load
from collector.config.logs import configure_logging
from collector.config.settings import Settings
from collector.wire.errors import InvalidOption

HOSTILE = 'a\r\n2026-01-01 [info] forged\x1b[31m\u2028\u202e\x85\x00"\ud800'


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Both forms go to files; afterwards the process logs as before."""
    root = logging.getLogger()
    level, raising = root.level, logging.raiseExceptions
    yield replace(load({}, {}).settings, logging_human=str(tmp_path / "human.log"), logging_json=str(tmp_path / "json.log"))
    configure_logging(replace(load({}, {}).settings, logging_human="", logging_json=""))
    logging.getLogger("aiohttp.access").disabled = False
    root.setLevel(level)
    logging.raiseExceptions = raising
    structlog.reset_defaults()


def _raised(message: str) -> ValueError:
    def refuse() -> None:
        raise ValueError(message)

    with pytest.raises(ValueError, match=r".") as caught:
        refuse()
    return caught.value


def _lines(path: str) -> list[str]:
    return Path(path).read_bytes().decode().split("\n")[:-1]


def test_the_form_for_people(settings: Settings) -> None:
    """Time in UTC with milliseconds, level, logger, message, then key=value, quoted where it must be."""
    configure_logging(settings)
    structlog.get_logger("collector.http").info(
        "request handled", route="csp", status=200, agent="a b", none=None, at={"x": [1]}
    )

    (line,) = _lines(settings.logging_human)
    time, _, rest = line.partition(" [info]  ")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", time)
    assert rest == 'collector.http: request handled  route=csp  status=200  agent="a b"  none=null  at={"x":[1]}'


def test_the_form_for_machines(settings: Settings) -> None:
    """The same as one JSON object, the values in an object of their own."""
    configure_logging(settings)
    structlog.get_logger("collector.http").warning("slow", level="forged", seconds=float("inf"), path=Path("/x"))

    entry = json.loads(*_lines(settings.logging_json))
    assert entry.pop("ts").endswith("Z")
    assert entry == {
        "level": "WARNING",
        "msg": "slow",
        "logger_names": ["collector", "http"],
        "fields": {"level": "forged", "seconds": "inf", "path": "/x"},
    }


def test_the_form_for_google_cloud(settings: Settings, tmp_path: Path) -> None:
    """Severity, message and time have the names that its agent looks for; the values stand in an object of their own."""
    configure_logging(replace(settings, logging_stackdriver=str(tmp_path / "cloud.log")))
    structlog.get_logger("collector.http").warning("slow", severity="forged", seconds=2)

    entry = json.loads(*_lines(str(tmp_path / "cloud.log")))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry.pop("time"))
    assert entry == {
        "severity": "WARNING",
        "message": "slow",
        "logging.googleapis.com/labels": {"logger": "collector.http"},
        "fields": {"severity": "forged", "seconds": 2},
    }


@pytest.mark.parametrize("verbose", [False, True])
def test_a_filter_lets_wanted_debug_messages_through(settings: Settings, verbose: bool) -> None:
    """By logger or by message, of ours and of a library, with verbose or without; what is no debug message always passes."""
    configure_logging(replace(settings, log_filter=(r"^collector\.http", "handled|loaded"), verbose=verbose))
    for name in ("collector.http.auth", "collector.rollup"):
        structlog.get_logger(name).debug("a request was handled", agent="collector.http")
        structlog.get_logger(name).debug("nothing", said="handled")
        structlog.get_logger(name).info("nothing")
    logging.getLogger("aiohttp.server").debug("module %s", "loaded")
    logging.getLogger("aiohttp.server").debug("module")

    lines = [re.sub(r"^.*?\[(\w+)\] +([^:]+): (.*?)(  .*)?$", r"\1 \2 \3", line) for line in _lines(settings.logging_human)]
    assert lines == [
        "debug collector.http.auth a request was handled",
        "debug collector.http.auth nothing",
        "info collector.http.auth nothing",
        "debug collector.rollup a request was handled",
        "info collector.rollup nothing",
        "debug aiohttp.server module loaded",
    ]


def test_one_line_per_event_whatever_it_holds(settings: Settings) -> None:
    """Control characters, line separators, escapes and lone surrogates in message, key, value and exception are escaped."""
    configure_logging(settings)
    fields = {HOSTILE: HOSTILE, "nested": {HOSTILE: [HOSTILE]}}
    structlog.get_logger("collector.http").error(HOSTILE, exc_info=_raised(HOSTILE), **fields)
    logging.getLogger("aiohttp.server").error("foreign %s", HOSTILE, stack_info=True)

    human, machine = _lines(settings.logging_human), _lines(settings.logging_json)
    assert [len(human), len(machine)] == [2, 2]
    assert all(line.isprintable() for line in human + machine)
    assert "Traceback (most recent call last)" in human[0]
    assert json.loads(machine[0])["fields"]["nested"] == {HOSTILE: [HOSTILE]}


def test_libraries_log_through_it_and_are_not_chatty(settings: Settings) -> None:
    """What aiohttp says at INFO is shown; of APScheduler, Alembic and SQLAlchemy warnings alone; debug needs verbose."""
    configure_logging(settings)
    for name in ("aiohttp.server", "apscheduler.scheduler", "alembic.runtime.migration", "sqlalchemy.engine", "collector.x"):
        logging.getLogger(name).debug("debug")
        logging.getLogger(name).info("info")
        logging.getLogger(name).warning("warning")

    said = [line.split(" ", 2)[2].split() for line in _lines(settings.logging_human)]
    assert [(name.strip(":"), word) for _, name, word in said] == [
        ("aiohttp.server", "info"),
        ("aiohttp.server", "warning"),
        ("apscheduler.scheduler", "warning"),
        ("alembic.runtime.migration", "warning"),
        ("sqlalchemy.engine", "warning"),
        ("collector.x", "info"),
        ("collector.x", "warning"),
    ]


def test_verbose_shows_debug_also_from_a_logger_used_before(settings: Settings) -> None:
    """Logging may be configured again; a logger that exists already follows."""
    configure_logging(settings)
    logger = structlog.get_logger("collector.again")
    logger.debug("unseen")
    configure_logging(replace(settings, verbose=True))
    logger.debug("seen")

    assert [line.rpartition(": ")[2] for line in _lines(settings.logging_human)] == ["seen"]


def test_no_query_and_no_password_reach_a_log(settings: Settings) -> None:
    """URLs lose query and userinfo wherever they stand; the access log, which holds request lines, is off."""
    configure_logging(settings)
    error = _raised("bad request b'GET /csp/reports?key=s3cret\\'x HTTP/1.1'")
    fields = {"url": "https://ada:s3cret@h.example/p?token=s3cret#f", "many": ["/y?a=1&b=s3cret"]}
    structlog.get_logger("collector.http").error("GET /x?s3cret", exc_info=error, **fields)
    logging.getLogger("aiohttp.access").warning("GET /csp/reports?key=s3cret")

    text = Path(settings.logging_human).read_text() + Path(settings.logging_json).read_text()
    assert text.count("\n") == 2
    assert "h.example/p" in text
    assert "s3cret" not in text


def test_each_form_can_be_off(settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty location writes nothing anywhere; /dev/stderr is the stream that the process has."""
    configure_logging(replace(settings, logging_human="", logging_json=""))
    structlog.get_logger("collector.http").error("unseen")
    configure_logging(replace(settings, logging_human="/dev/stderr", logging_json=""))
    structlog.get_logger("collector.http").error("seen")

    assert capsys.readouterr().err.endswith("[error] collector.http: seen\n")
    assert list(tmp_path.iterdir()) == []


def test_a_log_file_that_cannot_be_opened_is_refused(settings: Settings, tmp_path: Path) -> None:
    """The message names the option and the path."""
    with pytest.raises(InvalidOption, match=r"^CODER_LOGGING_JSON: cannot open '.+': Is a directory$"):
        configure_logging(replace(settings, logging_json=str(tmp_path)))


@pytest.mark.parametrize("dash", ["-", ""], ids=["token", "key"])
def test_a_credential_is_cut_to_its_id(settings: Settings, dash: str) -> None:
    """One that stands in a path, or in what somebody raised, is found by its id and opens nothing."""
    credential = "abcDEF0123" + dash + "ABCDEFGHIJKLMNOPQRSTUV"
    configure_logging(settings)
    structlog.get_logger("collector.http").error("failed", path=f"/users/{credential}/keys", exc_info=_raised(credential))

    text = Path(settings.logging_human).read_text()
    assert '"/users/abcDEF0123…/keys"' in text
    assert "ABCDEFGHIJKLMNOPQRSTUV" not in text + Path(settings.logging_json).read_text()
