"""Whatever a log holds: records that every store takes, or refusals; never anything else."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.normalize.aibridge import Judged, LogReader
from collector.normalize.aibridge_records import RecordMaker
from collector.persist import aibridge
from collector.persist.engine import Store
from collector.wire.aibridge import Fields, Prompt
from tests.aibridge import DEVELOPMENT, INTERCEPTION, NOW, PLAIN, SECRET, SERVER_HUMAN, SERVER_JSON, judged, line
from tests.examples import examples

QUICK = settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])

TEXT = st.text(st.characters(), max_size=60)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
NAMES = sorted({name for kind in Fields.__args__ for name in kind.__struct_fields__})
TYPES = st.sampled_from([kind.__struct_config__.tag for kind in Fields.__args__])
TIMES = st.just("2026-01-13T09:00:00Z") | st.datetimes().map(lambda at: f"{at.isoformat()}Z") | TEXT
KNOWN = {
    "interception_id": st.just(INTERCEPTION) | TEXT,
    **dict.fromkeys(("started_at", "ended_at", "created_at"), TIMES),
    **dict.fromkeys(("input_tokens", "output_tokens", "cache_read_input_tokens"), st.integers(0, 10**12) | ANYTHING),
    "injected": st.booleans(),
    "metadata": st.dictionaries(st.sampled_from(["cache_read_input", "prompt_cached", "x"]) | TEXT, ANYTHING, max_size=4),
}
ALWAYS = ("interception_id", "started_at", "ended_at", "created_at")
FIELDS = st.fixed_dictionaries(
    {"record_type": TYPES, **{name: KNOWN[name] for name in ALWAYS}},
    optional={name: KNOWN.get(name, TEXT) for name in NAMES if name not in ALWAYS},
)


@QUICK
@given(
    st.lists(
        st.binary(max_size=80)
        | st.sampled_from([*DEVELOPMENT.split(b"\n"), *SERVER_HUMAN.split(b"\n"), *SERVER_JSON.split(b"\n")])
        | ANYTHING.map(lambda value: json.dumps({"record_type": value, "fields": value}).encode())
        | st.text('  ={}[]"\\:.a1\n<>', max_size=60).map(
            lambda text: f"2026-01-13 09:00:00.000 [info]  a: b  record_type=prompt_usage{text}".encode()
        ),
        max_size=12,
    )
)
def test_no_line_stops_the_reading(lines: list[bytes]) -> None:
    """Every line is read without an exception, and no entry is a record and refused at once."""
    for entry in judged(b"\n".join(lines) + b"\n"):
        assert entry.record is None or entry.error is None


@QUICK
@given(st.binary(max_size=3), st.data())
def test_where_a_log_is_damaged(damage: bytes, data: st.DataObject) -> None:
    """Bytes in the middle of a log of JSON cost the line that they hit; the others are read as before."""
    at = data.draw(st.integers(0, len(SERVER_JSON) - 1))
    whole = [entry.record for entry in judged(SERVER_JSON)]
    found = [entry.record for entry in judged(SERVER_JSON[:at] + damage + SERVER_JSON[at:])]

    hit = SERVER_JSON[:at].count(b"\n")
    after = len(whole) - hit - 1
    assert found[:hit] == whole[:hit]
    assert found[len(found) - after :] == whole[hit + 1 :]


@QUICK
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=60))
def test_a_prompt_survives_the_form_for_people(text: str) -> None:
    """A prompt of several lines, as slog moves it behind the other fields, is the same record as in JSON."""
    prompt = f"a{text}\nb"  # slog strips what it prints
    first, *more = prompt.split("\n")
    head = f"2026-01-13 09:00:00.000 [info]  a: b  record_type=prompt_usage  interception_id={INTERCEPTION}"
    moved = "\n".join(["    prompt= " + first, *(" " * 12 + one if one else "" for one in more)])
    (entry,) = judged(f'{head}  created_at="2026-01-13T09:00:00Z"  metadata={{}} ...\n{moved}\n')

    assert entry.record == judged(line("prompt_usage", prompt=prompt))[0].record
    assert isinstance(entry.record, Prompt)


@given(fields=st.lists(FIELDS, min_size=1, max_size=8))
@settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
async def test_every_record_stores(store: Store, fields: list[dict[str, Any]]) -> None:
    """No record that was accepted here is one that a database refuses; and none is new twice."""
    reader = LogReader(RecordMaker(secret=SECRET, keep_texts=True, identities=PLAIN, now=NOW))
    found: list[Judged] = [entry for one in fields for entry in reader.read(json.dumps({"fields": one}).encode())]
    records = [entry.record for entry in found if entry.record is not None]
    keep = partial(aibridge.store, records=records, deployment="d", received_at=NOW)

    await store.transact(keep)
    assert await store.transact(keep) == []
