"""What models were used for, under the names that a Coder server gives it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate

import msgspec

from collector.rollup.aibridge_totals import BOUNDS_S, AiTotals, DurationTotal, ModelTotal, ToolTotal
from collector.serve.exposition import Sampled, labelled
from collector.serve.families import Family

INTERCEPTIONS = Family(
    "coder_aibridged_interceptions_total",
    "Interceptions that have ended since the deployment is known here.",
    ("provider", "model", "status", "route", "method", "initiator_id"),
)
DURATION = Family(
    "coder_aibridged_interceptions_duration_seconds",
    "How long they took, from start to end.",
    ("provider", "model"),
    "histogram",
)
PROMPTS = Family("coder_aibridged_prompts_total", "Prompts.", ("provider", "model", "initiator_id"))
TOKENS = Family(
    "coder_aibridged_tokens_total",
    "Tokens by type. Some types are parts of others: do not add up all of them.",
    ("provider", "model", "type", "initiator_id"),
)
INJECTED = Family(
    "coder_aibridged_injected_tool_invocations_total",
    "Calls of tools that the gateway offered to the model and ran.",
    ("provider", "model", "server", "name"),
)
SELECTED = Family(
    "coder_aibridged_non_injected_tool_selections_total",
    "Calls of tools that the client offered to the model.",
    ("provider", "model", "name"),
)
FAMILIES = (INTERCEPTIONS, DURATION, PROMPTS, TOKENS, INJECTED, SELECTED)

# What a server calls kinds of tokens that it names after what a provider answers; those of OpenAI's responses as of its chats.
TYPES = {"audio_input": "prompt_audio", "audio_output": "completion_audio", "reasoning_output": "completion_reasoning"}
OPENAI, OPENAI_CACHED = "openai", "prompt_cached"
ALWAYS = ("input", "output")  # beside others, also when there were none


def aibridge_series(totals: AiTotals) -> Iterator[Sampled]:
    """All that ``totals`` say."""
    yield from _models(totals.models)
    yield Sampled(DURATION, dict(_buckets(totals.durations)))
    yield from _tools(totals.tools)


def _models(models: Sequence[ModelTotal]) -> Iterator[Sampled]:
    interceptions, prompts, tokens = Counter[str](), Counter[str](), Counter[str]()
    for one in models:
        whose = one.provider, one.model
        if one.interceptions:
            # The log tells neither how one ended nor what was asked for; an empty label is none.
            interceptions[labelled(INTERCEPTIONS.labels, (*whose, "", "", "", one.initiator_id))] = one.interceptions
        if one.prompts:
            prompts[labelled(PROMPTS.labels, (*whose, one.initiator_id))] = one.prompts
        for type_, count in _types(one):
            tokens[labelled(TOKENS.labels, (*whose, type_, one.initiator_id))] = count
    yield Sampled(INTERCEPTIONS, interceptions)
    yield Sampled(PROMPTS, prompts)
    yield Sampled(TOKENS, tokens)


def _types(one: ModelTotal) -> Iterator[tuple[str, int]]:
    counts = msgspec.structs.asdict(one.tokens)
    if not any(counts.values()):
        return
    for kind, count in counts.items():
        cached = kind == "cache_read_input" and one.provider == OPENAI
        if count or kind in ALWAYS:
            yield OPENAI_CACHED if cached else TYPES.get(kind, kind), count


def _buckets(durations: Sequence[DurationTotal]) -> Iterator[tuple[str, float]]:
    """Samples of a histogram by what follows its name."""
    for one in durations:
        whose = one.provider, one.model
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), accumulate(one.counts), strict=True):
            yield "_bucket" + labelled((*DURATION.labels, "le"), (*whose, bound)), count
        yield "_count" + labelled(DURATION.labels, whose), sum(one.counts)
        yield "_sum" + labelled(DURATION.labels, whose), one.seconds


def _tools(tools: Sequence[ToolTotal]) -> Iterator[Sampled]:
    injected, selected = Counter[str](), Counter[str]()
    for one in tools:
        whose = one.provider, one.model
        if one.injected:
            injected[labelled(INJECTED.labels, (*whose, one.server, one.tool))] += one.calls
        else:
            selected[labelled(SELECTED.labels, (*whose, one.tool))] += one.calls  # whatever server it names
    yield Sampled(INJECTED, injected)
    yield Sampled(SELECTED, selected)
