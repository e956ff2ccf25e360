"""AI bridge records: the fields of Coder's log lines as they come, and the records made of them.

``record_type`` says which of six kinds a line is; its message says nothing. Lines come in any order, and none has an id:
``key`` is a hash of all that counts in a record, so that the same line in another log is the same record.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from collector.wire.fields import Id

# Nine million lines of it still add up in 64 bits, and no model reads a billionth of it at once.
MAX_TOKENS = 10**12

Count = Annotated[int, Meta(ge=0, le=MAX_TOKENS)]
Moment = Annotated[str, Meta(max_length=64)]  # RFC 3339, or as Go prints a time
Metadata = dict[str, Any] | None


class StartFields(msgspec.Struct, tag_field="record_type", tag="interception_start", frozen=True, gc=False):
    """A request to a model has begun."""

    interception_id: Id
    started_at: Moment
    initiator_id: str | None = None
    api_key_id: str | None = None
    provider: str | None = None
    model: str | None = None
    metadata: Metadata = None


class EndFields(msgspec.Struct, tag_field="record_type", tag="interception_end", frozen=True, gc=False):
    """It has ended; the line may come before others of the same interception, and never after a crash."""

    interception_id: Id
    ended_at: Moment


class TokenFields(msgspec.Struct, tag_field="record_type", tag="token_usage", frozen=True, gc=False):
    """Tokens to be added to those of other lines, also of the same ``msg_id``. Other kinds stand in ``metadata``."""

    interception_id: Id
    created_at: Moment
    msg_id: str | None = None
    input_tokens: Count = 0
    output_tokens: Count = 0
    cache_read_input_tokens: Count | None = None  # newer servers; older ones have it in metadata alone
    cache_write_input_tokens: Count | None = None
    metadata: Metadata = None


class PromptFields(msgspec.Struct, tag_field="record_type", tag="prompt_usage", frozen=True, gc=False):
    """What the user wrote, in clear."""

    interception_id: Id
    created_at: Moment
    msg_id: str | None = None
    prompt: str = ""
    metadata: Metadata = None


class ToolFields(msgspec.Struct, tag_field="record_type", tag="tool_usage", frozen=True, gc=False):
    """A tool that the model called, with its input in clear."""

    interception_id: Id
    created_at: Moment
    msg_id: str | None = None
    tool: str | None = None
    input: str | None = None
    server_url: str | None = None
    injected: bool = False
    invocation_error: str | None = None
    tool_call_id: str | None = None
    metadata: Metadata = None


class ThoughtFields(msgspec.Struct, tag_field="record_type", tag="model_thought", frozen=True, gc=False):
    """What the model thought aloud, in clear (servers since March 2026)."""

    interception_id: Id
    created_at: Moment
    content: str = ""
    metadata: Metadata = None


Fields = StartFields | EndFields | TokenFields | PromptFields | ToolFields | ThoughtFields


class LogLine(msgspec.Struct, frozen=True, gc=False):
    """A JSON log line: of slog's JSON sink with ``fields``, of its Stackdriver sink with the fields beside the rest."""

    fields: msgspec.Raw = msgspec.Raw(b"")
    trace: str = ""
    span: str = ""


class RecordType(msgspec.Struct, frozen=True, gc=False):
    """What tells a line of the AI bridge from every other; "" when there is none."""

    record_type: str = ""


# ── Records. Times are integer nanoseconds since the epoch, as exact as the log has them ──────────────────────────────
class Span(msgspec.Struct, frozen=True, gc=False):
    """Where a line belongs to in a trace; "" when tracing was off."""

    trace: str = ""
    span: str = ""


class Tokens(msgspec.Struct, frozen=True, gc=False):
    """Counts by kind. The first four add up to all tokens; the others are parts of one of them, see ``PARTS``."""

    input: int = 0  # without what was read from a cache or written to one
    output: int = 0
    cache_read_input: int = 0
    cache_creation_input: int = 0
    cache_ephemeral_5m_input: int = 0
    cache_ephemeral_1h_input: int = 0
    audio_input: int = 0
    audio_output: int = 0
    reasoning_output: int = 0
    web_search_requests: int = 0  # no tokens, but what providers charge beside them


KINDS = Tokens.__struct_fields__
PARTS = {
    "input": ("audio_input",),
    "output": ("audio_output", "reasoning_output"),
    "cache_read_input": (),
    "cache_creation_input": ("cache_ephemeral_5m_input", "cache_ephemeral_1h_input"),
}

Scalars = tuple[tuple[str, str | int | float | bool | None], ...]


class Text(msgspec.Struct, frozen=True, gc=False):
    """A prompt, an input or a thought: its length in characters and a keyed hash; ``kept`` is the text, or None."""

    length: int
    hash: str  # 32 hex digits
    kept: str | None = None


class InterceptionStart(msgspec.Struct, frozen=True, gc=False):
    """The first of an interception's records, however late it comes."""

    interception_id: str
    at: int
    span: Span
    initiator_id: str
    api_key_id: str
    provider: str
    model: str
    metadata: Scalars


class InterceptionEnd(msgspec.Struct, frozen=True, gc=False):
    """Its end."""

    interception_id: str
    at: int
    span: Span


class TokenUsage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one log line."""

    interception_id: str
    key: bytes
    at: int
    span: Span
    msg_id: str
    tokens: Tokens
    metadata: Scalars


class Prompt(msgspec.Struct, frozen=True, gc=False):
    """One prompt."""

    interception_id: str
    key: bytes
    at: int
    span: Span
    msg_id: str
    prompt: Text
    metadata: Scalars


class ToolUsage(msgspec.Struct, frozen=True, gc=False):
    """One call of a tool; ``server_url`` is without userinfo, query and fragment."""

    interception_id: str
    key: bytes
    at: int
    span: Span
    msg_id: str
    tool: str
    input: Text
    server_url: str
    injected: bool
    invocation_error: str  # "" when it worked
    metadata: Scalars


class ModelThought(msgspec.Struct, frozen=True, gc=False):
    """One thought of the model."""

    interception_id: str
    key: bytes
    at: int
    span: Span
    content: Text
    metadata: Scalars


AibridgeRecord = InterceptionStart | InterceptionEnd | TokenUsage | Prompt | ToolUsage | ModelThought


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """A line of a log that was not taken: its number, from 1, and the reason."""

    line: int
    error: str


class Receipt(msgspec.Struct):
    """The answer to a log, which grows while the log is read.

    ``skipped`` entries are not about the AI bridge. At most 1,000 rejections are listed, all are counted.
    """

    accepted: int = 0
    duplicate: int = 0
    skipped: int = 0
    rejected_count: int = 0
    rejected: list[Rejection] = []
