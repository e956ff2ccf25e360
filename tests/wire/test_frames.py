"""Frames between a worker and the main process: what goes in comes out, and nothing else breaks anything."""

from __future__ import annotations

import struct
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.wire.frames import (
    Answered,
    Ask,
    Brought,
    Counted,
    Frame,
    Instrument,
    Ready,
    RefusedRecord,
    Sample,
    Splitter,
    Stop,
    brought,
    frame_bytes,
    frame_of,
    framed,
)
from collector.wire.messages import Unreadable, parcel, records_in
from collector.wire.records import Record
from tests.wire.test_messages import RECORDS

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBER = st.integers(0, 2**62)
FRAMES: st.SearchStrategy[Frame] = st.one_of(
    st.just(Ready()),
    st.just(Ask()),
    st.just(Stop()),
    st.builds(
        Answered,
        NUMBER,
        st.lists(st.builds(RefusedRecord, NUMBER, NUMBER, TEXT), max_size=3).map(tuple),
        st.none() | st.tuples(TEXT, TEXT),
    ),
    st.builds(
        Counted,
        st.lists(
            st.builds(
                Instrument,
                TEXT,
                st.lists(
                    st.builds(Sample, TEXT, st.dictionaries(TEXT, TEXT, max_size=3), st.floats(allow_nan=False)), max_size=3
                ).map(tuple),
            ),
            max_size=3,
        ).map(tuple),
    ),
)


@given(st.lists(FRAMES, max_size=5), st.integers(1, 40))
def test_frames_come_through_in_any_pieces(frames: list[Frame], size: int) -> None:
    """However the stream is cut, the frames are those that were sent, in order."""
    stream = b"".join(frame_bytes(frame) for frame in frames)
    splitter = Splitter()
    found = [frame_of(content) for at in range(0, len(stream), size) for content in splitter.split(stream[at : at + size])]
    assert found == frames


@given(st.lists(st.lists(RECORDS, min_size=1, max_size=3), max_size=4), NUMBER)
def test_records_come_through_in_a_batch(submissions: list[list[Record]], number: int) -> None:
    """Each parcel of a batch holds the records of its submission, those of one kind in their order."""
    (content,) = Splitter().split(frame_bytes(brought(number, [parcel(each) for each in submissions])))
    batch = frame_of(content)
    assert isinstance(batch, Brought)
    assert batch.number == number
    for given_records, raw in zip(submissions, batch.parcels, strict=True):
        found = records_in(raw)
        assert len(found) == len(given_records)
        assert {type(each) for each in found} == {type(each) for each in given_records}
        for kind in {type(each) for each in found}:
            assert [each for each in found if type(each) is kind] == [each for each in given_records if type(each) is kind]


@given(st.binary(max_size=200))
def test_bytes_that_are_no_frame(content: bytes) -> None:
    """Whatever comes, it is a frame or Unreadable, and so are the parcels in it."""
    with suppress(Unreadable):
        found = frame_of(content)
        if isinstance(found, Brought):
            for each in found.parcels:
                records_in(each)


@given(st.lists(st.binary(max_size=50), max_size=10))
def test_a_stream_that_is_no_frames(pieces: list[bytes]) -> None:
    """A splitter never holds more than one frame of its largest size and a piece, and gives out nothing larger."""
    splitter = Splitter(largest=64)
    with suppress(Unreadable):
        for piece in pieces:
            assert all(len(content) <= 64 for content in splitter.split(piece))


def test_a_frame_that_is_too_long() -> None:
    """It is refused by its length, before any of it has come."""
    with pytest.raises(Unreadable, match="65 bytes, 64 are allowed"):
        Splitter(largest=64).split(struct.pack(">I", 65))


@pytest.mark.parametrize(
    "content",
    [b"", msgspec.msgpack.encode([99]), msgspec.msgpack.encode([1]), msgspec.msgpack.encode([2, "x"]), b"\x91" * 5_000],
    ids=["nothing", "an unknown kind", "a field short", "a wrong type", "too deep"],
)
def test_wrong_frames(content: bytes) -> None:
    """What is no frame is Unreadable."""
    (found,) = Splitter().split(framed(content))
    with pytest.raises(Unreadable):
        frame_of(found)
