"""A process on the last core that asks for paths in turn, and reads each answer to its end."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit


class Asked(NamedTuple):
    """One path, asked for some times."""

    path: str
    bytes: int
    milliseconds: list[float]


async def asked(
    url: str, paths: Sequence[str], headers: Mapping[str, str], *, rounds: int, apart: float = 0, core: int | None = None
) -> list[Asked]:
    """What came of asking for each of ``paths`` in ``rounds`` rounds, ``apart`` seconds after each answer."""
    command = [sys.executable, "-m", "benchmarks.asking", json.dumps([url, paths, headers, rounds, apart])]
    core = max(os.sched_getaffinity(1)) if core is None else core
    process = await asyncio.create_subprocess_exec("taskset", "-c", str(core), *command, stdout=subprocess.PIPE)
    printed, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"{url} did not answer as it should")
    return [Asked(*each) for each in json.loads(printed)]


# ── The process ──────────────────────────────────────────────────────────────────────────────────────────────────────
def main() -> int:
    """Ask, and print what came of it."""
    print(json.dumps(_asked(*json.loads(sys.argv[1]))))
    return 0


def _asked(url: str, paths: Sequence[str], headers: Mapping[str, str], rounds: int, apart: float) -> list[Asked]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    found = {path: Asked(path, 0, []) for path in paths}
    for _ in range(rounds):
        for path in paths:
            began = time.perf_counter()
            connection.request("GET", path or parts.path, headers=dict(headers))
            response = connection.getresponse()
            size = len(response.read())
            if response.status != http.HTTPStatus.OK:
                raise SystemExit(f"{path}: {response.status}")
            found[path].milliseconds.append((time.perf_counter() - began) * 1000)
            found[path] = found[path]._replace(bytes=size)
            time.sleep(apart)
    return list(found.values())


if __name__ == "__main__":
    sys.exit(main())
