"""Logs of AI bridges: what servers print, and records of them."""

from __future__ import annotations

import json
import random
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from collector.normalize.aibridge import Judged, LogReader
from collector.normalize.aibridge_records import RecordMaker
from collector.normalize.identity import Identities, UserIdentity
from collector.wire.aibridge import AibridgeRecord

PAYLOADS = Path(__file__).parent / "payloads" / "aibridge"
# One interception as a development script shows it. Its end comes before its tool.
DEVELOPMENT = (PAYLOADS / "development.log").read_bytes()
# One with records of all six kinds and a line about something else: as JSON, and the same for people.
SERVER_JSON = (PAYLOADS / "server.ndjson").read_bytes()
SERVER_HUMAN = (PAYLOADS / "server.log").read_bytes()

NOW = 1_768_384_800_000  # 2026-01-14T10:00:00Z
SECRET = bytes(range(32))
PLAIN = Identities(UserIdentity.PLAIN, SECRET)
INTERCEPTION = "c0a8f1de-1111-4222-8333-444455556666"


def judged(log: bytes | str, *, keep_texts: bool = True) -> list[Judged]:
    """What becomes of each entry of ``log``."""
    reader = LogReader(RecordMaker(secret=SECRET, keep_texts=keep_texts, identities=PLAIN, now=NOW))
    whole = log.encode("utf-8", "surrogatepass") if isinstance(log, str) else log
    return [*(found for line in whole.split(b"\n")[:-1] for found in reader.read(line)), *reader.end()]


def records(log: bytes | str, *, keep_texts: bool = True) -> list[AibridgeRecord]:
    """The records of a log in which nothing is refused."""
    found = judged(log, keep_texts=keep_texts)
    assert [entry.error for entry in found if entry.error] == []
    return [entry.record for entry in found if entry.record is not None]


def line(record_type: str, **fields: Any) -> str:
    """A JSON line; its interception and its time need not be given."""
    time = {"interception_start": "started_at", "interception_end": "ended_at"}.get(record_type, "created_at")
    usual = {"record_type": record_type, "interception_id": INTERCEPTION, time: "2026-01-13T09:00:00Z"}
    return json.dumps({"ts": "2026-01-13T09:00:00Z", "msg": "interception log", "fields": usual | fields}) + "\n"


def start(interception_id: str = INTERCEPTION, at: str = "2026-01-13T09:00:00Z", **fields: Any) -> str:
    """The line of a start."""
    usual = {"initiator_id": "grace", "api_key_id": "Ex4mpleKey", "provider": "anthropic", "model": "example-1"}
    return line("interception_start", **usual | {"interception_id": interception_id, "started_at": at} | fields)


def sums(log: Iterable[bytes]) -> Counter[str]:
    """What a log of JSON lines adds up to, counted without the collector."""
    counts: Counter[str] = Counter()
    for text in log:
        fields = json.loads(text)["fields"]
        counts[fields["record_type"]] += 1
        counts["errors"] += bool(fields.get("invocation_error"))
        counts["input"] += fields.get("input_tokens", 0)
        counts["output"] += fields.get("output_tokens", 0)
        for kind in ("cache_read_input", "cache_creation_input"):
            counts[kind] += fields["metadata"].get(kind, 0) if "metadata" in fields else 0
    return counts


def synthetic(size: int, seed: int = 5) -> Iterator[bytes]:
    """The lines of a log of at least ``size`` bytes, the same for the same seed. One in fifty interceptions never ends."""
    rnd = random.Random(seed)
    written = 0
    while written < size:
        for fields in _interception(rnd, written):
            text = {"ts": "2026-01-13T09:00:00Z", "level": "INFO", "msg": "interception log", "fields": fields}
            whole = json.dumps(text, separators=(",", ":")).encode() + b"\n"
            written += len(whole)
            yield whole


def _interception(rnd: random.Random, number: int) -> list[dict[str, Any]]:
    begun = 1_768_200_000 + rnd.randrange(86_400)

    def fields(record_type: str, name: str = "created_at", **more: Any) -> dict[str, Any]:
        at = datetime.fromtimestamp(begun + (rnd.random() * 9 if record_type != "interception_start" else 0), UTC)
        return {"record_type": record_type, "interception_id": interception_id, name: at.isoformat(), **more}

    interception_id = str(uuid.UUID(int=rnd.getrandbits(128), version=4))
    provider, model = rnd.choice([("anthropic", "example-large-1"), ("anthropic", "example-small-1"), ("openai", "example-4")])
    cached = {"cache_creation_input": rnd.randrange(9_000), "cache_read_input": rnd.randrange(90_000)}
    found = [fields("token_usage", msg_id=f"m{number}", input_tokens=rnd.randrange(50), output_tokens=8, metadata=cached)]
    for _ in range(rnd.randrange(3)):
        found.append(fields("token_usage", msg_id=f"m{number}", output_tokens=rnd.randrange(900), metadata={}))
        error = "" if rnd.random() < 0.9 else "no such file"
        found.append(fields("tool_usage", tool="read_file", input=json.dumps({"path": "a"}), invocation_error=error))
    found.append(fields("prompt_usage", msg_id=f"m{number}", prompt=f"mend line {number}\nplease"))
    if rnd.random() < 0.98:
        found.append(fields("interception_end", "ended_at"))
    who = {"initiator_id": f"user-{rnd.randrange(7)}", "api_key_id": "k", "provider": provider, "model": model}
    found.append(fields("interception_start", "started_at", **who))
    rnd.shuffle(found)
    return found
