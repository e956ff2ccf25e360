"""Records on their way through a stream: what the intake publishes and what a consumer stores.

A message is MessagePack: ``[version, [parcel, …]]``. A parcel is what one submission brought, by kind of record. A field that a
newer program adds to a record has a default, and one that it does not know is passed over, so programs of two neighbouring
versions read each other's messages; what they could not, raises the version.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from collector.wire.inventory import TelemetryIntake, TelemetryServer
from collector.wire.records import AgentReport, CspIntake, Record, Workspace

VERSION = 1


class UnknownVersion(Exception):
    """A newer program has written this message."""


class Unreadable(Exception):
    """No program has written this message, or not all of it has come."""


class _Parcel(msgspec.Struct, frozen=True, omit_defaults=True):
    csp: tuple[CspIntake, ...] = ()
    agents: tuple[AgentReport, ...] = ()
    workspaces: tuple[Workspace, ...] = ()
    servers: tuple[TelemetryServer, ...] = ()
    telemetry: tuple[TelemetryIntake, ...] = ()


class _Message(msgspec.Struct, frozen=True, array_like=True):
    version: int
    parcels: tuple[msgspec.Raw, ...]


_FIELDS: dict[type, str] = {
    CspIntake: "csp",
    AgentReport: "agents",
    Workspace: "workspaces",
    TelemetryServer: "servers",
    TelemetryIntake: "telemetry",
}
_encoder = msgspec.msgpack.Encoder()
_messages = msgspec.msgpack.Decoder(_Message)
_parcels = msgspec.msgpack.Decoder(_Parcel)


def parcel(records: Sequence[Record]) -> bytes:
    """``records`` as a parcel; those of one kind keep their order."""
    by_kind: dict[str, list[Record]] = {}
    for record in records:
        by_kind.setdefault(_FIELDS[type(record)], []).append(record)
    return _encoder.encode(_Parcel(**{kind: tuple(some) for kind, some in by_kind.items()}))  # type: ignore[arg-type]


def message(parcels: Sequence[bytes]) -> bytes:
    """``parcels`` as one message."""
    return _encoder.encode(_Message(VERSION, tuple(msgspec.Raw(each) for each in parcels)))


def records_of(content: bytes) -> list[Record]:
    """The records of a message, by kind and then in order.

    Raises:
        UnknownVersion: it is for a newer program.
        Unreadable: it is no message.
    """
    try:
        found = _messages.decode(content)
        if found.version != VERSION:
            raise UnknownVersion(f"message of version {found.version}, this program reads {VERSION}")
        return [record for each in found.parcels for record in _of(_parcels.decode(each))]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(str(error)) from error


def records_in(content: bytes | msgspec.Raw) -> list[Record]:
    """The records of one parcel, by kind and then in order.

    Raises:
        Unreadable: it is no parcel.
    """
    try:
        return _of(_parcels.decode(content))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(str(error)) from error


def _of(given: _Parcel) -> list[Record]:
    return [*given.csp, *given.agents, *given.workspaces, *given.servers, *given.telemetry]
