"""What a worker and the main process tell each other: frames, each a length of four bytes (big-endian) and MessagePack.

A worker brings parcels (``messages.py``) in batches and is answered a batch at a time; it is asked what it has counted, and
told to end. Both ends are of one program, started together: there is no version to agree on.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import msgspec

from collector.wire.messages import Unreadable

LARGEST = 32 * 1024 * 1024  # bytes of a frame: the largest body is 8 MiB of rows, whose defaults a parcel leaves out
_LENGTH = struct.Struct(">I")


class Ready(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """A worker listens."""


class Brought(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Parcels to be stored: what waited in a worker."""

    number: int
    parcels: tuple[msgspec.Raw, ...]


class RefusedRecord(msgspec.Struct, frozen=True, array_like=True):
    """The record at ``index`` of the parcel at ``position``, which the store would not take, and its words."""

    position: int
    index: int
    error: str


class Answered(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The batch of that number is durable but for what is refused; or nothing of it, for a reason: message and detail."""

    number: int
    refused: tuple[RefusedRecord, ...] = ()
    failed: tuple[str, str] | None = None


class Ask(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A worker is to say what it has counted."""


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One value of an instrument."""

    name: str
    labels: dict[str, str]
    value: float


class Instrument(msgspec.Struct, frozen=True, array_like=True):
    """A counter or histogram with all of its samples, in its own order."""

    name: str
    samples: tuple[Sample, ...]


class Counted(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """What a worker has counted since it began."""

    instruments: tuple[Instrument, ...]


class Stop(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """A worker is to take no more connections, answer what is on its way, and end."""


Frame = Ready | Brought | Answered | Ask | Counted | Stop

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


def framed(content: bytes) -> bytes:
    """``content`` behind its length."""
    return _LENGTH.pack(len(content)) + content


def frame_bytes(frame: Frame) -> bytes:
    """``frame`` as it is sent."""
    return framed(_encoder.encode(frame))


def brought(number: int, parcels: Sequence[bytes]) -> Brought:
    """The batch that ``parcels`` are."""
    return Brought(number, tuple(msgspec.Raw(each) for each in parcels))


def frame_of(content: bytes) -> Frame:
    """The frame that ``content`` is, without its length.

    Raises:
        Unreadable: it is none.
    """
    try:
        return _decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(str(error)) from error


class Splitter:
    """Cuts a stream of bytes into the contents of frames; what it holds back is part of one frame.

    Args:
        largest: bytes of a content; whoever announces more is not listened to any longer.
    """

    def __init__(self, largest: int = LARGEST) -> None:
        self._largest = largest
        self._held = bytearray()

    def split(self, data: bytes) -> list[bytes]:
        """The contents that end within ``data``.

        Raises:
            Unreadable: a frame is too long.
        """
        held = self._held
        held += data
        found: list[bytes] = []
        at = 0
        while len(held) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(held, at)
            if length > self._largest:
                raise Unreadable(f"a frame of {length} bytes, {self._largest} are allowed")
            end = at + _LENGTH.size + length
            if len(held) < end:
                break
            found.append(bytes(held[at + _LENGTH.size : end]))
            at = end
        del held[:at]
        return found
