"""A sender that counts: exactly so many requests over some connections, or so many a second, and how long each answer took.

wrk loads a server until it is full. What is sent here is chosen: a total that must come out exact, or a rate that leaves
room, at which a request that waits for the server is late by as much as it should have been sent before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import uvloop

from benchmarks.reports import distinct, encoded
from benchmarks.servers import pinned

VARIANTS = 400  # bodies, each with ages of its own
DONE = b"\r\n\r\n"


class Sent(NamedTuple):
    """What came of it: the answers' times in ms, sorted."""

    seconds: float
    milliseconds: list[float]


def sent(url: str, requests: int, array: int) -> Sent:
    """What came of sending ``requests`` with ``array`` reports each as fast as they are answered."""
    return told_by(subprocess.run(command(url, requests, array), check=True, stdout=subprocess.PIPE).stdout)


def command(url: str, requests: int, array: int, *, rate: float = 0, connections: int = 16) -> list[str]:
    """What sends from the last core: ``rate`` requests a second, or as many as are answered."""
    what = [sys.executable, "-m", "benchmarks.sending", url, str(requests), str(array)]
    return [*pinned(-1), *what, f"--rate={rate}", f"--connections={connections}"]


def told_by(printed: bytes) -> Sent:
    """What a sender printed at its end."""
    return Sent(*json.loads(printed))


# ── The process ──────────────────────────────────────────────────────────────────────────────────────────────────────
def main() -> int:
    """Send, and print what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("requests", type=int)
    parser.add_argument("array", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--connections", type=int)
    args = parser.parse_args()
    bodies = [_request(args.url, number, args.array) for number in range(VARIANTS)]
    print(json.dumps(uvloop.run(_all(args.url, bodies, args.requests, args.rate, args.connections))))
    return 0


async def _all(url: str, bodies: Sequence[bytes], requests: int, rate: float, connections: int) -> Sent:
    numbers, taken = iter(range(requests)), list[float]()
    began = time.perf_counter()
    await asyncio.gather(*(_one(url, bodies, numbers, taken, began, rate) for _ in range(connections)))
    return Sent(time.perf_counter() - began, sorted(taken) if rate else [])


async def _one(
    url: str, bodies: Sequence[bytes], numbers: Iterator[int], taken: list[float], began: float, rate: float
) -> None:
    """One connection takes the next request when the last is answered."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    for number in numbers:
        due = began + number / rate if rate else 0.0
        if rate:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        writer.write(bodies[number % len(bodies)])
        head = await reader.readuntil(DONE)
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(head.decode())
        if rate:
            taken.append((time.perf_counter() - due) * 1000)
    writer.close()


def _request(url: str, number: int, array: int) -> bytes:
    parts = urlsplit(url)
    body = encoded([distinct(number * array + place, age=number * 7 + place * 311) for place in range(array)])
    head = f"POST {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/reports+json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


if __name__ == "__main__":
    sys.exit(main())
