"""AI bridge records -> log lines like those that they came in: the same logger, messages and fields.

Whatever reads the log of a Coder server reads these too, and gets prompts from none of them unless they are stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import Context
from datetime import UTC, datetime
from typing import Any

import structlog

from collector.wire.aibridge import (
    AibridgeRecord,
    InterceptionEnd,
    InterceptionStart,
    ModelThought,
    Prompt,
    Text,
    TokenUsage,
    ToolUsage,
)

AT_ONCE = 50  # lines, some 5 ms; then whoever else waits has a turn

MESSAGES: dict[type, str] = {
    InterceptionStart: "interception started",
    InterceptionEnd: "interception ended",
    TokenUsage: "token usage recorded",
    Prompt: "prompt usage recorded",
    ToolUsage: "tool usage recorded",
    ModelThought: "model thought recorded",
}

log = structlog.get_logger("coderd.aibridgedserver")


async def log_records(records: Sequence[AibridgeRecord]) -> None:
    """Log each of ``records``, in order."""
    # In a context of its own: the line is a server's, and the id of the request that brought it is no part of it.
    await asyncio.create_task(_log_records(records), context=Context())


async def _log_records(records: Sequence[AibridgeRecord]) -> None:
    for number, record in enumerate(records, 1):
        log.info(MESSAGES[type(record)], **_span(record), **fields(record))
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)


def fields(record: AibridgeRecord) -> dict[str, Any]:
    """The fields of ``record``'s line in their order. A text that is not kept is empty, with its length and hash behind."""
    match record:
        case InterceptionStart():
            about = {name: getattr(record, name) for name in ("initiator_id", "api_key_id", "provider", "model")}
            return {**_kind("interception_start", record), **about, "started_at": moment(record.at), **_metadata(record)}
        case InterceptionEnd():
            return {**_kind("interception_end", record), "ended_at": moment(record.at)}
        case TokenUsage():
            counts = {"input_tokens": record.tokens.input, "output_tokens": record.tokens.output}
            return {**_kind("token_usage", record), "msg_id": record.msg_id, **counts, **_created(record)}
        case Prompt():
            return {
                **_kind("prompt_usage", record),
                "msg_id": record.msg_id,
                **_text("prompt", record.prompt),
                **_created(record),
            }
        case ToolUsage():
            return {
                **_kind("tool_usage", record),
                "msg_id": record.msg_id,
                "tool": record.tool,
                **_text("input", record.input),
                "server_url": record.server_url,
                "injected": record.injected,
                "invocation_error": record.invocation_error,
                **_created(record),
            }
        case ModelThought():
            return {**_kind("model_thought", record), **_text("content", record.content), **_created(record)}


def moment(nanoseconds: int) -> str:
    """A time as Go writes it: RFC 3339 in UTC, up to nine digits of a second, without zeros at their end."""
    seconds, fraction = divmod(nanoseconds, 10**9)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{fraction:09}".rstrip("0").rstrip(".") + "Z"


def _span(record: AibridgeRecord) -> dict[str, str]:
    span = {"trace": record.span.trace, "span": record.span.span}
    return {name: value for name, value in span.items() if value}


def _kind(record_type: str, record: AibridgeRecord) -> dict[str, str]:
    return {"record_type": record_type, "interception_id": record.interception_id}


def _text(name: str, text: Text) -> dict[str, Any]:
    if text.kept is not None:
        return {name: text.kept}
    return {name: "", f"{name}_length": text.length, f"{name}_hash": text.hash}


def _created(record: TokenUsage | Prompt | ToolUsage | ModelThought) -> dict[str, Any]:
    return {"created_at": moment(record.at), **_metadata(record)}


def _metadata(record: InterceptionStart | TokenUsage | Prompt | ToolUsage | ModelThought) -> dict[str, Any]:
    return {"metadata": dict(record.metadata)}
