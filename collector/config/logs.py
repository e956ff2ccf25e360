"""Logging: structlog on top of the standard library, one line per event whatever the values hold.

What arrives in a report may end up in a value, so every character that could start a new line, move a cursor or forge an
entry is escaped. URLs lose their query and userinfo here, as a last line of defence: nobody should log one in the first place.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from collector.config.settings import Settings
from collector.wire.errors import InvalidOption

LONGEST_TEXT = 16_384  # characters of one value; a traceback through the frameworks is about 4,000
DEEPEST = 4  # levels of a nested value

# Libraries that talk at INFO what nobody asked for stay at the root's WARNING: APScheduler each run, Alembic each context,
# aiosqlite and SQLAlchemy each statement with its parameters.
TALKING = ("collector", "__main__", "aiohttp", "coderd")  # coderd: records of the AI bridge
# Its lines hold the request line, and thus the query string with a key in it.
SILENT = "aiohttp.access"

_LEVELS = {"warning": "warn"}
_PLAIN = re.compile(r"[A-Za-z0-9_./@+,-]+")
_QUERY = re.compile(r"\?[\w%&=+;~/@$*.-][^\s\"<>]*")
# A token or a key, which begins with its id. What has hexadecimal digits alone is none, but a trace or a hash.
_CREDENTIAL = re.compile(r"\b(?![0-9a-f]{32}\b)([A-Za-z0-9]{10})-?[A-Za-z0-9]{22}\b")
_USERINFO = re.compile(r"(?<=://)[^\s/@]*@")

# One list for the life of the process: loggers that were used once keep a reference to it.
_CHAIN: list[structlog.typing.Processor] = [
    structlog.stdlib.filter_by_level,
    structlog.contextvars.merge_contextvars,  # the id of the request
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.StackInfoRenderer(),
    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
]


def configure_logging(settings: Settings) -> None:
    """Send every log line where the settings say: lines for people, of JSON, for Google Cloud, or none. May be called again.

    Raises:
        InvalidOption: a log file cannot be opened.
    """
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler.formatter, _LineFormatter)]:
        root.removeHandler(old)
        old.close()
    root.addHandler(_handler(settings.logging_human, "CODER_LOGGING_HUMAN", _human_line))
    root.addHandler(_handler(settings.logging_json, "CODER_LOGGING_JSON", _json_line))
    root.addHandler(_handler(settings.logging_stackdriver, "CODER_LOGGING_STACKDRIVER", _stackdriver_line))
    if settings.log_filter:
        wanted = _WantedDebug(settings.log_filter)
        for handler in root.handlers:
            handler.addFilter(wanted)
    root.setLevel(logging.WARNING)
    for name in TALKING:
        logging.getLogger(name).setLevel(logging.DEBUG if settings.verbose or settings.log_filter else logging.INFO)
    logging.getLogger(SILENT).disabled = True
    # A full disk must not turn each log line into a traceback on stderr, with the values as they came.
    logging.raiseExceptions = False
    structlog.configure(
        processors=_CHAIN,
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


class _LineFormatter(structlog.stdlib.ProcessorFormatter):
    """Ours; the type tells :func:`configure_logging` which handlers it may replace."""


class _WantedDebug(logging.Filter):
    """Of debug messages only those whose logger or message one of the patterns is found in; of all others every one."""

    def __init__(self, patterns: Sequence[str]) -> None:
        super().__init__()
        self._patterns = [re.compile(pattern) for pattern in patterns]

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno > logging.DEBUG:
            return True
        # structlog leaves its event in the record as a mapping, to be rendered by the handler.
        message = str(record.msg.get("event", "")) if isinstance(record.msg, Mapping) else record.getMessage()
        return any(pattern.search(record.name) or pattern.search(message) for pattern in self._patterns)


def _handler(path: str, option: str, line: Callable[[Mapping[str, Any]], str]) -> logging.Handler:
    handler = _opened(path, option)

    def render(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
        return line(_entry(event))

    handler.setFormatter(_LineFormatter(processors=[structlog.processors.format_exc_info, render]))
    return handler


def _opened(path: str, option: str) -> logging.Handler:
    # Not opened by name: under systemd stderr is a socket, and opening /dev/stderr fails with ENXIO.
    streams = {"/dev/stderr": sys.stderr, "/dev/stdout": sys.stdout}
    if not path:
        return logging.NullHandler()
    if path in streams:
        return logging.StreamHandler(streams[path])
    try:
        return logging.handlers.WatchedFileHandler(path, encoding="utf-8", errors="backslashreplace")  # follows logrotate
    except OSError as error:
        raise InvalidOption(f"{option}: cannot open {path!r}: {error.strerror}") from None


def _entry(event: MutableMapping[str, Any]) -> dict[str, Any]:
    """What both forms show: ``at``, ``level``, ``logger``, ``message`` and cleaned ``fields``."""
    record: logging.LogRecord = event["_record"]
    fields = {key: value for key, value in event.items() if key not in ("event", "_record", "_from_structlog")}
    return {
        "at": datetime.fromtimestamp(record.created, UTC),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": _clean(str(event.get("event", ""))),
        "fields": {_clean(str(key)): _clean(value) for key, value in fields.items()},
    }


def _human_line(entry: Mapping[str, Any]) -> str:
    """``2026-01-13 15:50:20.795 [info]  collector.http: request handled  route=csp  status=200``."""
    level = f"[{_LEVELS.get(entry['level'], entry['level'])}]"
    head = f"{entry['at']:%Y-%m-%d %H:%M:%S}.{entry['at'].microsecond // 1000:03} {level:<7} "
    fields = "".join(f"  {_escaped(key)}={_human_value(value)}" for key, value in entry["fields"].items())
    return f"{head}{_escaped(entry['logger'])}: {_escaped(entry['message'])}{fields}"


def _json_line(entry: Mapping[str, Any]) -> str:
    """The same as one JSON object in ASCII; ``fields`` is an object of its own, so that no key can pose as ``level``."""
    return json.dumps(
        {
            "ts": _rfc3339(entry["at"]),
            "level": entry["level"].upper(),
            "msg": entry["message"],
            "logger_names": entry["logger"].split("."),
            "fields": entry["fields"],
        },
        separators=(",", ":"),
    )


def _stackdriver_line(entry: Mapping[str, Any]) -> str:
    """The same as Google Cloud Logging takes it from a container's output: severity, message, time, labels, a payload."""
    return json.dumps(
        {
            "severity": entry["level"].upper(),
            "message": entry["message"],
            "time": _rfc3339(entry["at"]),
            "logging.googleapis.com/labels": {"logger": entry["logger"]},
            "fields": entry["fields"],
        },
        separators=(",", ":"),
    )


def _rfc3339(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _human_value(value: Any) -> str:
    if isinstance(value, str):
        if _PLAIN.fullmatch(value):
            return value
        return '"' + _escaped(value.replace("\\", "\\\\").replace('"', '\\"')) + '"'
    return _escaped(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _escaped(text: str) -> str:
    """``text`` in one line of printable characters; what is none is written as Python would."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _clean(value: Any, depth: int = 0) -> Any:
    """``value`` as JSON can say it, bounded in depth and length, its texts without queries, userinfo and credentials."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else str(value)  # JSON has no NaN and no Infinity
    if isinstance(value, Mapping) and depth < DEEPEST:
        return {_clean(str(key)): _clean(item, depth + 1) for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes) and depth < DEEPEST:
        return [_clean(item, depth + 1) for item in value]
    text = value if isinstance(value, str) else str(value)
    text = text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
    return _USERINFO.sub("…@", _QUERY.sub("?…", _CREDENTIAL.sub(r"\1…", text)))
