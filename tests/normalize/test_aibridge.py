"""Lines of logs become records, whatever spelling they have; what cannot be used is refused by line and reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collector.normalize.aibridge import LONGEST_ENTRY, LogReader
from collector.normalize.aibridge_records import RecordMaker
from collector.wire.aibridge import (
    InterceptionEnd,
    InterceptionStart,
    ModelThought,
    Prompt,
    TokenUsage,
    ToolUsage,
)
from tests.aibridge import DEVELOPMENT, NOW, PLAIN, SECRET, SERVER_HUMAN, SERVER_JSON, judged, line, records, start


def only(log: str | bytes, **options: Any) -> Any:
    """The only record of ``log``."""
    (record,) = records(log, **options)
    return record


def refused(log: str | bytes) -> str:
    """The reason why the only entry of ``log`` is refused."""
    (entry,) = judged(log)
    assert entry.record is None
    return entry.error or ""


def test_the_lines_of_a_development_script() -> None:
    """A prefix, per-record messages and an end before the last record are all understood."""
    found = records(DEVELOPMENT)

    assert [type(record) for record in found] == [
        InterceptionStart,
        TokenUsage,
        TokenUsage,
        Prompt,
        InterceptionEnd,
        ToolUsage,
    ]
    started, first, second, prompt, ended, tool = found
    assert (started.provider, started.model, started.api_key_id) == ("anthropic", "claude-opus-4-5-20251101", "Ex4mpleKey")  # type: ignore[union-attr]
    assert (first.tokens.input, first.tokens.cache_creation_input, second.tokens.output) == (10, 53_194, 130)  # type: ignore[union-attr]
    assert prompt.prompt.kept == "which tests are red on main"  # type: ignore[union-attr]
    assert tool.input.kept == '{"branch":"main"}'  # type: ignore[union-attr]
    assert ended.at == 1_768_319_426_255_555_470
    assert (ended.span.trace, ended.span.span) == ("5d1c0a9be1f24e7f9d0c2b3a4f5e6d7c", "3fa25397705ee7c9")


def test_a_log_for_people_says_what_the_json_log_says() -> None:
    """Both logs of one server give equal records, keys among them: Go's two spellings of a time, a prompt of many lines."""
    found = records(SERVER_JSON)

    assert len(found) == 7
    assert {type(record) for record in found} == {
        InterceptionStart,
        InterceptionEnd,
        TokenUsage,
        Prompt,
        ToolUsage,
        ModelThought,
    }
    assert records(SERVER_HUMAN) == found


def test_entries_have_the_number_of_their_first_line() -> None:
    """Lines are counted from 1, also those that continue an entry; what is not about the AI bridge is let pass."""
    found = judged(SERVER_HUMAN)

    assert [entry.line for entry in found] == [1, 2, 3, 4, 8, 9, 10, 11]
    assert (found[-1].record, found[-1].error) == (None, None)


def test_colours_and_the_prefix_are_no_part_of_a_line() -> None:
    """A terminal's colours, and a script's prefix also on the lines that continue an entry, are taken off."""
    coloured = SERVER_HUMAN.replace(b"[info]", b"\x1b[34m[info]\x1b[0m").replace(
        b"record_type=", b"\x1b[36mrecord_type=\x1b[0m"
    )
    prefixed = b"".join(b"[API] " + text + b"\r\n" for text in SERVER_HUMAN.split(b"\n")[:-1])

    assert records(coloured) == records(prefixed) == records(SERVER_JSON)


def test_stackdriver_lines() -> None:
    """Google's form has the fields beside the rest."""
    (record,) = records(SERVER_JSON.split(b"\n")[1] + b"\n")
    fields = json.loads(SERVER_JSON.split(b"\n")[1])["fields"]
    flat = {"severity": "INFO", "message": "interception log", "timestampSeconds": 1, "timestampNanos": 2, **fields}

    assert only(json.dumps(flat) + "\n").tokens == record.tokens  # type: ignore[union-attr]


def test_cached_tokens_are_counted_once() -> None:
    """Newer servers say beside the metadata what older ones say there alone; both in one line are not added up."""
    both = only(
        line("token_usage", cache_read_input_tokens=70, cache_write_input_tokens=9, metadata={"cache_read_input": 70, "x": {}})
    )
    older = only(line("token_usage", metadata={"prompt_cached": 5.0, "completion_reasoning": 3, "web_search_requests": None}))

    assert (both.tokens.cache_read_input, both.tokens.cache_creation_input) == (70, 9)
    assert (older.tokens.cache_read_input, older.tokens.reasoning_output, older.tokens.input) == (5, 3, 0)


def test_later_fields_are_tolerated() -> None:
    """Fields that are not known yet, and those that are null, spoil nothing."""
    record = only(start(client="x", thread_root_id=None, metadata={"request_user_agent": "a\x1bb", "deep": {"a": 1}}))

    assert record.metadata == (("request_user_agent", "a b"),)
    assert only(line("tool_usage", tool="t", server_url=None, invocation_error=None, item_id="i")).invocation_error == ""


@pytest.mark.parametrize("text", ["{}", "[1]", "<b>", "5", "true", "...", "a=b"])
def test_texts_that_need_no_quotes(text: str) -> None:
    """A prompt that Go prints without quotes stays the text that it is."""
    human = f"2026-01-13 09:00:00.000 [info]  a: b  record_type=prompt_usage  interception_id=i  prompt={text}"

    assert only(f'{human}  created_at="2026-01-13T09:00:00Z"\n').prompt.kept == text


def test_quoted_texts() -> None:
    """What Go escapes is read back, bytes that are no text as U+FFFD."""
    quoted = r'"a\tb\n\"c\" \\ \u00e9 \U0001f353 \x7f \xff"'
    human = f"2026-01-13 09:00:00.000 [info]  a: b  record_type=prompt_usage  interception_id=i  prompt={quoted}"

    # DEL is no text that every store takes.
    assert only(f"{human}  created_at=2026-01-13T09:00:00Z\n").prompt.kept == 'a\tb\n"c" \\ é 🍓 \ufffd \ufffd'


def test_texts_are_not_kept_unless_wanted() -> None:
    """Of a prompt, an input and a thought there is the length and a hash that depends on the secret."""
    for record in records(SERVER_JSON, keep_texts=False):
        assert "quoted" not in str(record)
        assert "value with space" not in str(record)
        assert "two lines" not in str(record)
    prompt = only(line("prompt_usage", prompt="yes"), keep_texts=False).prompt
    other = LogReader(RecordMaker(secret=b"another", keep_texts=False, identities=PLAIN, now=NOW)).read(
        line("prompt_usage", prompt="yes").encode()
    )

    assert (prompt.length, prompt.kept, len(prompt.hash)) == (3, None, 32)
    assert other[0].record.prompt.hash != prompt.hash  # type: ignore[union-attr]
    assert other[0].record.key != only(line("prompt_usage", prompt="yes")).key  # type: ignore[union-attr]


def test_urls_and_names_are_cleaned() -> None:
    """Userinfo and query of a server's URL are gone, control characters become blanks, names are bounded."""
    tool = only(line("tool_usage", tool="a\x00b" + "c" * 999, server_url="https://u:p@mcp.example/x?token=1#f"))

    assert tool.server_url == "https://mcp.example/x"
    assert tool.tool == "a b" + "c" * 253


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (line("token_usage", input_tokens=-1), "input_tokens: Expected `int` >= 0"),
        (line("token_usage", input_tokens=10**13), "input_tokens: Expected `int` <= 1000000000000"),
        (line("token_usage", metadata={"cache_read_input": -2}), "metadata.cache_read_input: Expected a number"),
        (line("token_usage", metadata={"cache_read_input": "7"}), "metadata.cache_read_input: Expected a number"),
        (line("token_usage", created_at="yesterday"), "created_at: Expected a time since 1970"),
        (line("token_usage", created_at="0001-01-01T00:00:00Z"), "created_at: Expected a time since 1970"),
        (line("token_usage", created_at="2026-13-01T00:00:00Z"), "created_at: Expected a time since 1970"),
        (
            line("token_usage", created_at="2026-01-15T10:00:01Z"),
            "created_at: Expected a time that is not more than a day ahead",
        ),
        (line("token_usage", interception_id=""), "interception_id: "),
        (line("token_usage", interception_id="a\nb"), "interception_id: "),
        (line("invoice"), "record_type: Invalid value 'invoice'"),
        (line("token_usage")[:-9] + "\n", "Input data was truncated"),
        (line("token_usage")[:60] + "\n", "The line is cut short."),
        (line("token_usage").replace("}}", "}"), "Input data was truncated"),
        ('{"fields":' * 2000 + '"record_type"' + "}" * 2000 + "\n", "The line is nested too deeply."),
        ("goroutine 1 [running]:\n", "This is neither JSON nor a line of a log."),
        ('2026-01-13 09:00:00.000 [info]  a: b  record_type=token_usage  created_at="x\n', "A quoted text has no end."),
        ("2026-01-13 09:00:00.000 [info]  a: b  record_type=token_usage x\n", "record_type: Invalid value"),
        ('2026-01-13 09:00:00.000 [info]  a: b  record_type="token_usage"x\n', "What follows a field is no field."),
    ],
)
def test_what_is_refused(log: str, reason: str) -> None:
    """The reason names the field and never repeats a text."""
    assert reason in refused(log)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("2026-01-13T09:00:00Z", 0),
        ("2026-01-13T09:00:00.000000001Z", 1),
        ("2026-01-13T11:00:00.5+02:00", 500_000_000),
        ("2026-01-13 09:00:00.25 +0000 UTC", 250_000_000),
        ("2026-01-13 03:30:00 -0530 -0530", 0),
    ],
)
def test_spellings_of_a_time(text: str, nanoseconds: int) -> None:
    """RFC 3339 with any offset, and what Go prints of a time, to the nanosecond."""
    assert only(line("prompt_usage", created_at=text)).at == 1_768_294_800_000_000_000 + nanoseconds


def test_unrelated_lines_are_let_pass() -> None:
    """Whatever else a server logs is neither a record nor refused, also when it speaks of record types."""
    others = [
        '{"ts":"x","msg":"say \\"record_type\\" again","fields":{"a":1}}',
        '{"ts":"x","msg":"\\"record_type\\""}',
        '{"ts":"x","msg":"started"}',
        "",
        "2026-01-13 09:00:00.000 [debu]  coderd: about record_type=token_usage ...",
        "    error= a",
        "           b",
        "\tindented, as of a trace of calls",
    ]

    assert [(e.record, e.error) for e in judged("\n".join(others) + "\n")] == [(None, None)] * 6


def test_an_entry_in_many_lines_is_bounded() -> None:
    """A line over the limit is refused alone; an entry that never ends is refused once, and not kept in memory."""
    reader = LogReader(RecordMaker(secret=SECRET, keep_texts=True, identities=PLAIN, now=NOW))
    head = b"2026-01-13 09:00:00.000 [info]  a: b  record_type=prompt_usage ..."
    long = [found for _ in range(LONGEST_ENTRY // 1000 + 9) for found in reader.read(b"    " + b"x" * 1000)]
    assert {entry.error for entry in long} == {None}

    assert reader.read(head) == []
    for _ in range(LONGEST_ENTRY // 1000 + 9):
        assert reader.read(b"    " + b"x" * 1000) == []
    (ended, too_long) = reader.read(None)

    assert (ended.error, too_long.error) == ("The line is too long.", "The line is too long.")
    assert reader.end() == []


def test_an_indented_line_is_a_line() -> None:
    """JSON with blanks before it is read like any other: nothing is passed over without a word."""
    assert records("  " + start()) == records(start())
    assert [entry.error for entry in judged('\t{"msg": "cut\n')] == ["The line is cut short."]
