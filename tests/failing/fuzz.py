"""Damaged bodies for every decoder, as many as one likes: ``python -m tests.failing.fuzz --inputs 1000000 --seed 1``.

Bodies that real senders sent are cut, spliced and spoilt. Each decoder must make something of one, or refuse it by an error
that the door turns into a 4xx; anything else ends the run with 1, and prints the body, which belongs into the tests then.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from collector.normalize.agentstats import agent_reports, own_report
from collector.normalize.aibridge import LogReader
from collector.normalize.aibridge_records import RecordMaker
from collector.normalize.csp import arrived
from collector.normalize.identity import Identities, UserIdentity
from collector.normalize.masking import masked
from collector.normalize.policy import policy
from collector.normalize.telemetry import telemetry_server, telemetry_snapshot
from collector.normalize.upstream import upstream_build, upstream_stats
from collector.normalize.uris import uri
from collector.normalize.workspaces import workspaces
from collector.wire.errors import InvalidReport, TooLarge
from collector.wire.frames import Brought, Stop, brought, frame_bytes, frame_of
from collector.wire.identity import Agent
from collector.wire.messages import UnknownVersion, Unreadable, message, parcel, records_in, records_of
from tests.failing.damage import LARGEST, damaged
from tests.failing.sent import AGENT
from tests.records import agent_report, workspace

PAYLOADS = Path(__file__).parent.parent / "payloads"
NOW = 1_768_903_200_000
IDENTITIES = Identities(UserIdentity.PSEUDONYM, b"s" * 32)
REFUSALS = (InvalidReport, TooLarge, Unreadable, UnknownVersion)
WORKSPACE = {
    "id": "5a1d2c1e-93a4-4b7e-8a52-0f3b7f3d9c11",
    "name": "dev",
    "owner_id": "c1f7b1f0-5d0e-4a1c-8a0e-1f2d3c4b5a69",
    "template_id": "b7d0f6a2-8f0a-4e0c-9d3b-6a5c4b3d2e1f",
    "latest_build": {"build_number": 1, "transition": "start", "job": {"started_at": "2026-11-24T01:00:00Z"}},
}
STATS = {
    "aggregated_from": "2026-01-14T09:45:00Z",
    "collected_at": "2026-01-14T10:00:00Z",
    "next_update_at": "2026-01-14T10:00:30Z",
    "workspaces": {
        "pending": 1,
        "building": 0,
        "running": 2,
        "failed": 3,
        "stopped": 4,
        "connection_latency_ms": {"P50": 12.5, "P95": 20},
        "rx_bytes": 5,
        "tx_bytes": 6,
    },
    "session_count": {"vscode": 1, "ssh": 2, "jetbrains": 0, "reconnecting_pty": 0},
}
BUILD = {"deployment_id": "7c1d9a52-4f0e-4a0b-9d53-5f1f0c6be001", "version": "v2.29.1+59cdd7e", "external_url": ""}
PARCEL = parcel([agent_report(), workspace()])
OWN = {"connections_by_proto": {"TCP": 1}, "rx_bytes": 5, "metrics": [{"name": "a", "type": "gauge", "value": 1.5}]}


class Decoder(NamedTuple):
    """What reads a body, and bodies that it takes."""

    name: str
    read: Callable[[bytes], object]
    bodies: Sequence[bytes]


def _files(kind: str, pattern: str) -> list[bytes]:
    return [path.read_bytes()[:LARGEST] for path in sorted((PAYLOADS / kind).glob(pattern))]


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")


def _log(body: bytes) -> object:
    reader = LogReader(RecordMaker(secret=b"s" * 32, keep_texts=True, identities=IDENTITIES, now=NOW))
    return [*(entry for line in body.split(b"\n") for entry in reader.read(line)), *reader.end()]


def _frame(body: bytes) -> object:
    found = frame_of(body)
    return [records_in(parcel) for parcel in found.parcels] if isinstance(found, Brought) else found


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


AGENT_OF_ITS_OWN = Agent("a", "d", "w", "u", "t")
REPORTS = _files("csp", "*.body")
DECODERS = (
    Decoder("CSP and other reports", lambda body: arrived(body, user_agent="Mozilla/5.0"), REPORTS),
    Decoder(
        "agents' stats",
        lambda body: agent_reports(body, deployment="d", received_at=NOW),
        [_json(AGENT), _json([AGENT, AGENT])],
    ),
    Decoder("an agent of its own", lambda body: own_report(body, AGENT_OF_ITS_OWN, received_at=NOW), [_json(OWN)]),
    Decoder(
        "workspaces", lambda body: workspaces(body, deployment="d", received_at=NOW), [_json(WORKSPACE), _json([WORKSPACE])]
    ),
    Decoder(
        "telemetry",
        lambda body: telemetry_snapshot(body, received_at=NOW, identities=IDENTITIES),
        _files("telemetry", "snapshot.json") + _files("telemetry", "partial.json"),
    ),
    Decoder(
        "a server", lambda body: telemetry_server(body, received_at=NOW, version="v2"), _files("telemetry", "deployment.json")
    ),
    Decoder("AI logs", _log, _files("aibridge", "*")),
    Decoder("stats of a Coder server", upstream_stats, [_json(STATS)]),
    Decoder("a build of one", upstream_build, [_json(BUILD)]),
    Decoder(
        "policies",
        lambda body: policy(_text(body)),
        [b"default-src 'self'; script-src 'nonce-abc' https://a.example *; report-uri /x"],
    ),
    Decoder(
        "URLs",
        lambda body: uri(_text(body)),
        [b"https://user:word@host.example:8443/a/4f9c2b7a8d1e4c0f?q=1#f", b"wss://[::1]:1/"],
    ),
    Decoder(
        "paths",
        lambda body: masked(_text(body)),
        [b"/reset/eyJhbGciOiJ9.a1.b2/a@b.example/4f9c2b7a-8d1e-4c0f-8d1e-4c0f4c0f4c0f"],
    ),
    Decoder("messages of the stream", records_of, [message([PARCEL]), message([PARCEL, PARCEL])]),
    Decoder("frames of workers", _frame, [frame_bytes(brought(1, [PARCEL])), frame_bytes(Stop())]),
)


def fuzz(decoder: Decoder, inputs: int, seed: int) -> tuple[int, bytes | None]:
    """How many of ``inputs`` bodies were refused, and the first one that ended in any other error."""
    chance = random.Random(f"{seed} {decoder.name}")
    refused = 0
    for _ in range(inputs):
        body = damaged(chance, decoder.bodies)
        try:
            decoder.read(body)
        except REFUSALS:
            refused += 1
        except Exception:  # noqa: BLE001 — just these are looked for
            return refused, body
    return refused, None


def main(arguments: Sequence[str] | None = None) -> int:
    """Give every decoder its share, and say what became of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    share, failed = -(-asked.inputs // len(DECODERS)), 0
    for decoder in DECODERS:
        begun = time.perf_counter()
        refused, culprit = fuzz(decoder, share, asked.seed)
        seconds = time.perf_counter() - begun
        sys.stdout.write(f"{decoder.name}: {share:,} inputs, {refused:,} refused, {seconds:.0f} s\n")
        if culprit is not None:
            failed += 1
            sys.stdout.write(f"  FAILED on {culprit!r}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{share * len(DECODERS):,} inputs, seed {asked.seed}: {failed} decoders failed\n")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
