"""What models were used for, under Coder's names."""

from __future__ import annotations

from collector.rollup.aibridge_totals import AiTotals, DurationTotal, ModelTotal, ToolTotal
from collector.serve.coder_aibridge import aibridge_series
from collector.wire.aibridge import Tokens

WHOSE = "anthropic", "example-1"
LABELS = 'provider="anthropic",model="example-1"'


def samples(totals: AiTotals) -> dict[str, float]:
    return {one.family.name + rest: value for one in aibridge_series(totals) for rest, value in one.samples.items()}


def test_what_a_user_asked_for_is_told() -> None:
    """Tokens by the types of the provider; of an interception neither status nor route, which no log tells."""
    tokens = Tokens(input=3, cache_read_input=5, cache_creation_input=7, cache_ephemeral_5m_input=7)
    found = samples(AiTotals(models=(ModelTotal(*WHOSE, "grace", interceptions=2, prompts=1, tokens=tokens),)))

    assert found == {
        f'coder_aibridged_interceptions_total{{{LABELS},status="",route="",method="",initiator_id="grace"}}': 2,
        f'coder_aibridged_prompts_total{{{LABELS},initiator_id="grace"}}': 1,
        **{
            f'coder_aibridged_tokens_total{{{LABELS},type="{type_}",initiator_id="grace"}}': count
            for type_, count in {
                "input": 3,
                "output": 0,
                "cache_read_input": 5,
                "cache_creation_input": 7,
                "cache_ephemeral_5m_input": 7,
            }.items()
        },
    }


def test_types_are_called_as_the_provider_calls_them() -> None:
    """What OpenAI calls cached, audio and reasoning has its names there."""
    tokens = Tokens(output=3, cache_read_input=5, audio_input=1, audio_output=2, reasoning_output=3)
    found = samples(AiTotals(models=(ModelTotal("openai", "example-4", "grace", 0, 0, tokens),)))

    types = {name.split('type="')[1].partition('"')[0]: count for name, count in found.items()}
    assert types == {
        "input": 0,
        "output": 3,
        "prompt_cached": 5,
        "prompt_audio": 1,
        "completion_audio": 2,
        "completion_reasoning": 3,
    }


def test_how_long_they_took_is_a_histogram() -> None:
    """With the bounds of a server, each bucket holding those below it."""
    found = samples(AiTotals(durations=(DurationTotal(*WHOSE, (1, 0, 2, 0, 0, 0, 0, 4), 612.5),)))

    name = "coder_aibridged_interceptions_duration_seconds"
    bounds = {"0.5": 1, "2.0": 1, "5.0": 3, "15.0": 3, "30.0": 3, "60.0": 3, "120.0": 3, "+Inf": 7}
    assert found == {f'{name}_bucket{{{LABELS},le="{bound}"}}': count for bound, count in bounds.items()} | {
        f"{name}_count{{{LABELS}}}": 7,
        f"{name}_sum{{{LABELS}}}": 612.5,
    }


def test_tools_are_told_by_who_offered_them() -> None:
    """Those of the gateway with their server, the client's without, and one that named several is one series."""
    tools = (
        ToolTotal(*WHOSE, injected=True, server="https://mcp.example/", tool="search", calls=2),
        ToolTotal(*WHOSE, injected=False, server="", tool="read_file", calls=3),
        ToolTotal(*WHOSE, injected=False, server="https://other.example/", tool="read_file", calls=1),
    )
    assert samples(AiTotals(tools=tools)) == {
        f'coder_aibridged_injected_tool_invocations_total{{{LABELS},server="https://mcp.example/",name="search"}}': 2,
        f'coder_aibridged_non_injected_tool_selections_total{{{LABELS},name="read_file"}}': 4,
    }
