"""The fields of an AI bridge log line -> a record that every store takes: bounded, cleaned, without what may not be kept."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import msgspec

from collector.normalize.identity import NOBODY, Identities
from collector.normalize.rows import line
from collector.normalize.uris import uri
from collector.wire.aibridge import (
    MAX_TOKENS,
    AibridgeRecord,
    EndFields,
    Fields,
    InterceptionEnd,
    InterceptionStart,
    Metadata,
    ModelThought,
    Prompt,
    PromptFields,
    Scalars,
    Span,
    StartFields,
    Text,
    ThoughtFields,
    TokenFields,
    Tokens,
    TokenUsage,
    ToolFields,
    ToolUsage,
)

MAX_NAME, MAX_ERROR = 256, 2_000
MAX_METADATA, MAX_METADATA_KEY = 32, 64
DAY_NS = 86_400 * 10**9

# RFC 3339, or what Go prints of a time: "2026-01-13 15:50:20.79 +0000 UTC".
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))? ?(?:Z|([+-])(\d\d):?(\d\d))(?: [A-Z]{1,5}| [+-]\d\d(?:\d\d)?)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What no store and no log line can hold; line feeds and tabs belong to a text.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

# By kind, the names that it has had in metadata: of Anthropic's API and of OpenAI's two. Those that the server puts both
# there and beside ``input_tokens`` come first from there.
_IN_METADATA = {
    "cache_read_input": ("cache_read_input", "prompt_cached", "input_cached"),
    "cache_creation_input": ("cache_creation_input",),
    "cache_ephemeral_5m_input": ("cache_ephemeral_5m_input",),
    "cache_ephemeral_1h_input": ("cache_ephemeral_1h_input",),
    "audio_input": ("prompt_audio",),
    "audio_output": ("completion_audio",),
    "reasoning_output": ("completion_reasoning", "output_reasoning"),
    "web_search_requests": ("web_search_requests",),
}


class Unusable(ValueError):
    """The fields of a line that have the right types and no meaning; the text names the field."""


class RecordMaker:
    """Makes the records of one log.

    Args:
        secret: of the service, for the hashes: of a short prompt a plain one would tell what it was.
        keep_texts: whether prompts, inputs and thoughts are kept.
        identities: as whom the initiators of interceptions are kept.
        now: ms; what claims to be of more than a day later is refused, for it would never be old enough to go.
    """

    def __init__(self, *, secret: bytes, keep_texts: bool, identities: Identities, now: int) -> None:
        self._secret = secret
        self._keep_texts = keep_texts
        self._identities = identities
        self._latest = now * 10**6 + DAY_NS

    def __call__(self, fields: Fields, span: Span) -> AibridgeRecord:
        """The record of ``fields``.

        Raises:
            Unusable: a time is none, or a count has no meaning.
        """
        span = Span(_name(span.trace), _name(span.span))
        match fields:
            case StartFields():
                return self._start(fields, span)
            case EndFields():
                return InterceptionEnd(fields.interception_id, self._moment("ended_at", fields.ended_at), span)
            case TokenFields():
                return self._token_usage(fields, span)
            case PromptFields():
                return self._prompt(fields, span)
            case ToolFields():
                return self._tool_usage(fields, span)
            case ThoughtFields():
                return self._thought(fields, span)

    def _start(self, fields: StartFields, span: Span) -> InterceptionStart:
        named = _name(fields.initiator_id)
        initiator_id = (self._identities.user_id(named) or NOBODY) if named else ""
        return InterceptionStart(
            interception_id=fields.interception_id,
            at=self._moment("started_at", fields.started_at),
            span=span,
            initiator_id=initiator_id,
            # A key is one user's: it names whoever is not to be named.
            api_key_id=_name(fields.api_key_id) if initiator_id == named else "",
            provider=_name(fields.provider),
            model=_name(fields.model),
            metadata=_scalars(fields.metadata),
        )

    def _token_usage(self, fields: TokenFields, span: Span) -> TokenUsage:
        at, tokens = self._moment("created_at", fields.created_at), _tokens(fields)
        return TokenUsage(
            interception_id=fields.interception_id,
            key=self._key("token_usage", fields.interception_id, fields.msg_id, at, tokens),
            at=at,
            span=span,
            msg_id=_name(fields.msg_id),
            tokens=tokens,
            metadata=_scalars(fields.metadata),
        )

    def _prompt(self, fields: PromptFields, span: Span) -> Prompt:
        at = self._moment("created_at", fields.created_at)
        return Prompt(
            interception_id=fields.interception_id,
            key=self._key("prompt_usage", fields.interception_id, fields.msg_id, at, fields.prompt.strip()),
            at=at,
            span=span,
            msg_id=_name(fields.msg_id),
            prompt=self._text(fields.prompt),
            metadata=_scalars(fields.metadata),
        )

    def _tool_usage(self, fields: ToolFields, span: Span) -> ToolUsage:
        at, text = self._moment("created_at", fields.created_at), fields.input or ""
        call = fields.tool_call_id, fields.tool, text.strip(), fields.server_url or "", (fields.invocation_error or "").strip()
        return ToolUsage(
            interception_id=fields.interception_id,
            key=self._key("tool_usage", fields.interception_id, fields.msg_id, at, [*call, fields.injected]),
            at=at,
            span=span,
            msg_id=_name(fields.msg_id),
            tool=_name(fields.tool),
            input=self._text(text),
            server_url=uri(fields.server_url).text or "",
            injected=fields.injected,
            invocation_error=(line(fields.invocation_error, MAX_ERROR) or "error") if fields.invocation_error else "",
            metadata=_scalars(fields.metadata),
        )

    def _thought(self, fields: ThoughtFields, span: Span) -> ModelThought:
        at = self._moment("created_at", fields.created_at)
        return ModelThought(
            interception_id=fields.interception_id,
            key=self._key("model_thought", fields.interception_id, None, at, fields.content.strip()),
            at=at,
            span=span,
            content=self._text(fields.content),
            metadata=_scalars(fields.metadata),
        )

    def _moment(self, field: str, text: str) -> int:
        at = _nanoseconds(text)
        if at is None or at < 0:
            raise Unusable(f"{field}: Expected a time since 1970, as RFC 3339")
        if at > self._latest:
            raise Unusable(f"{field}: Expected a time that is not more than a day ahead")
        return at

    def _key(self, record_type: str, interception_id: str, msg_id: str | None, at: int, content: Any) -> bytes:
        """Equal for the same record in a JSON log and in one for people, which has no white space around a text."""
        said = msgspec.json.encode((record_type, interception_id, msg_id or "", at, content))
        return blake2b(said, digest_size=16, key=self._secret, person=b"aibridge record").digest()

    def _text(self, text: str) -> Text:
        secret_hash = blake2b(text.encode("utf-8", "replace"), digest_size=16, key=self._secret, person=b"aibridge text")
        return Text(len(text), secret_hash.hexdigest(), _UNFIT.sub("\ufffd", text) if self._keep_texts else None)


def _nanoseconds(text: str) -> int | None:
    """Nanoseconds since the epoch; None when ``text`` is no time."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    date, time, fraction, sign, hours, minutes = found.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{time}+00:00")
    except ValueError:
        return None
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    if sign:
        offset = int(hours) * 3600 + int(minutes) * 60
        seconds -= offset if sign == "+" else -offset
    return seconds * 10**9 + int((fraction or "").ljust(9, "0"))


def _tokens(fields: TokenFields) -> Tokens:
    metadata = fields.metadata or {}
    counts = {kind: _count(metadata, names) for kind, names in _IN_METADATA.items()} if metadata else {}
    if fields.cache_read_input_tokens is not None:
        counts["cache_read_input"] = fields.cache_read_input_tokens
    if fields.cache_write_input_tokens is not None:
        counts["cache_creation_input"] = fields.cache_write_input_tokens
    return Tokens(input=fields.input_tokens, output=fields.output_tokens, **counts)


def _count(metadata: dict[str, Any], names: tuple[str, ...]) -> int:
    """The first of ``names`` that ``metadata`` has. Numbers there have been floats on their way."""
    name = next((name for name in names if name in metadata), None)
    value = 0 if name is None else metadata[name]
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_TOKENS:
        raise Unusable(f"metadata.{name}: Expected a number from 0 to {MAX_TOKENS}")
    return int(value)


def _scalars(metadata: Metadata) -> Scalars:
    """The first entries of ``metadata`` that are no structures."""
    if not metadata:
        return ()
    entries: list[tuple[str, str | int | float | bool | None]] = []
    for name, value in metadata.items():
        if len(entries) == MAX_METADATA:
            break
        if value is None or isinstance(value, bool | int | float | str):
            fit = _name(value) if isinstance(value, str) else value
            entries.append((_name(name)[:MAX_METADATA_KEY], fit))
    return tuple(entries)


def _name(text: str | None) -> str:
    if not text:
        return ""
    return _UNFIT.sub("\ufffd", line(text, MAX_NAME) or "")
