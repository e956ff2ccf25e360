"""Synthetic users of AI models: each asks one now and then, through a gateway that logs it as Coder's does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import msgspec

from collector.simulate.feed import Feed
from collector.simulate.workspaces import rfc3339, uuid

PAUSE_S = 8.0  # between two questions of one user, on the average
FIRST_PAUSE_S = 0.5  # at most: even a short simulation hears every user
MODELS = (  # provider, model, and how often it is taken; the names are made up
    ("anthropic", "example-large-1", 5),
    ("anthropic", "example-small-2", 3),
    ("openai", "example-4", 2),
)
TOOLS = (("read_file", 6), ("run_command", 4), ("edit_file", 3), ("coder_report_task", 2))
TOOL_SHARE = 0.8  # of answers that ask for a tool
TOOL_FAILS = 0.06
NEVER_ENDS = 0.02  # the gateway was restarted meanwhile
LONGEST_MS = 40_000
PROMPT, INPUT = "Why does this test fail?", '{"path":"main.go"}'


class Line(msgspec.Struct, frozen=True):
    """One line of the gateway's log."""

    ts: str
    fields: dict[str, Any]
    level: str = "INFO"
    msg: str = "interception log"


class User:
    """Somebody who uses models. Everything follows from the plan's seed and the user's number."""

    def __init__(self, seed: int, number: int) -> None:
        self.rng = random.Random(f"{seed}/ai/{number}")  # noqa: S311 - play, no secret
        self.id = uuid(self.rng)

    def question(self, now_ms: int, run: str) -> list[Line]:
        """What is logged of a question that was answered just now; ``run`` makes its id unlike any other simulation's."""
        took = self.rng.randrange(800, LONGEST_MS)
        begun = now_ms - took
        about = {"interception_id": f"{run}-{self.rng.getrandbits(96):024x}"}
        (provider, model, _), *_ = self.rng.choices(MODELS, [share for *_, share in MODELS])
        start = {"initiator_id": self.id, "api_key_id": f"key-{self.id[:8]}", "provider": provider, "model": model}
        lines = [
            _line("interception_start", about | start | {"started_at": rfc3339(begun)}, begun),
            _line("prompt_usage", about | _at(begun) | {"msg_id": "msg_1", "prompt": PROMPT, "metadata": {}}, begun),
        ]
        for number in range(self.rng.randint(1, 4)):
            lines += self._turn(about, begun + took * number // 4, number)
        if self.rng.random() >= NEVER_ENDS:
            lines.append(_line("interception_end", about | {"ended_at": rfc3339(now_ms)}, now_ms))
        return lines

    def _turn(self, about: dict[str, Any], at_ms: int, number: int) -> list[Line]:
        """One answer of the model and, mostly, the tool that it asked for."""
        rng, message = self.rng, f"msg_{number + 1}"
        cached = {"cache_read_input": rng.randrange(60_000), "cache_creation_input": rng.randrange(9_000)}
        used = {"input_tokens": rng.randrange(20, 4_000), "output_tokens": rng.randrange(50, 3_000), "metadata": cached}
        lines = [_line("token_usage", about | _at(at_ms) | {"msg_id": message} | used, at_ms)]
        if rng.random() < TOOL_SHARE:
            (tool, _), *_ = rng.choices(TOOLS, [share for _, share in TOOLS])
            failed = "exit status 1" if rng.random() < TOOL_FAILS else ""
            call = {"msg_id": message, "tool": tool, "input": INPUT, "injected": tool.startswith("coder_"), "metadata": {}}
            lines.append(_line("tool_usage", about | _at(at_ms) | call | {"invocation_error": failed}, at_ms))
        return lines


async def ask(feed: Feed, user: User, clock: Callable[[], int], until: float) -> None:
    """Ask until the loop's clock says ``until``, and post what the gateway logs of each question."""
    now, run = asyncio.get_running_loop().time, f"{clock():x}"
    pause = user.rng.uniform(0, FIRST_PAUSE_S)
    while now() + pause < until:
        await asyncio.sleep(pause)
        await feed.log(user.question(clock(), run))
        pause = user.rng.expovariate(1 / PAUSE_S)


def _at(at_ms: int) -> dict[str, str]:
    return {"created_at": rfc3339(at_ms)}


def _line(record_type: str, fields: dict[str, Any], at_ms: int) -> Line:
    return Line(rfc3339(at_ms), {"record_type": record_type, **fields})
