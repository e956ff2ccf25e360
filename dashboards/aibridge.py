"""What AI models are used for: tokens by model and kind, what they cost, the tools they call, and how many people use them."""

from __future__ import annotations

from dashboards.board import Board, Row, Variable, number, once, over_time, table

DAY, HOUR = 'deployment=~"$deployment",window="24h"', 'deployment=~"$deployment",window="1h"'


def of(family: str, *labels: str) -> str:
    """The series of a family by ``labels``, each counted once."""
    return once(f"collector_aibridge_{family}{{{','.join(labels)}}}")


FAILED, CALLS = of("tool_calls", DAY, 'failed="true"'), of("tool_calls", DAY)
FAILED_NOW, UNFINISHED = of("tool_calls", HOUR, 'failed="true"'), of("interceptions", HOUR, 'ended="false"')
CACHED, READ = of("tokens", HOUR, 'kind="cache_read_input"'), of("tokens", HOUR, 'kind!="output"')

DAY_ROW = Row(
    "The last 24 hours",
    (
        number("Tokens", "Tokens of all kinds, those read from caches among them.", f"sum({of('tokens', DAY)})"),
        number(
            "Cost",
            "What these tokens cost by the price list, in its currency; tokens without a price are left out.",
            f"sum({of('cost', DAY)})",
        ),
        number(
            "Without a price",
            "The share of tokens that the price list says nothing about.",
            f"sum({of('unpriced_tokens', DAY)}) / sum({of('tokens', DAY)})",
            unit="percentunit",
            steps=((0.05, "orange"),),
        ),
        number("Interceptions", "Requests to models that went through the gateway.", f"sum({of('interceptions', DAY)})"),
        number("Users", "People, or whoever has a key, who sent one.", f"sum({of('users', DAY)})"),
        number(
            "Failed tools",
            "The share of calls of tools that failed.",
            f"sum({FAILED}) / sum({CALLS})",
            unit="percentunit",
            steps=((0.1, "orange"), (0.25, "red")),
        ),
    ),
)

TOKENS = Row(
    "Tokens and cost, of the hour before each moment",
    (
        over_time(
            "Tokens by model",
            "Tokens of interceptions that started in the hour before.",
            (f"sum by (provider, model) ({of('tokens', HOUR)})", "{{provider}} {{model}}"),
            stacked=True,
        ),
        over_time(
            "Tokens by kind",
            "The four kinds add up to all tokens. Those read from a cache cost least.",
            (f"sum by (kind) ({of('tokens', HOUR)})", "{{kind}}"),
            stacked=True,
        ),
        over_time(
            "Cost by model",
            "In the currency of the price list. Empty without COLLECTOR_AIBRIDGE_PRICES.",
            (f"sum by (model, currency) ({of('cost', HOUR)})", "{{model}}, {{currency}}"),
            stacked=True,
        ),
        over_time(
            "Read from caches",
            "The share of what models read that came from a cache, by model.",
            (f"sum by (model) ({CACHED}) / sum by (model) ({READ})", "{{model}}"),
            unit="percentunit",
        ),
    ),
)

USE = Row(
    "Users and tools",
    (
        over_time(
            "Users",
            "Who sent something in the hour before, by deployment.",
            (f"sum by (deployment) ({of('users', HOUR)})", "{{deployment}}"),
        ),
        over_time(
            "Interceptions by model",
            "Requests that started in the hour before.",
            (f"sum by (provider, model) ({of('interceptions', HOUR)})", "{{provider}} {{model}}"),
            stacked=True,
        ),
        table(
            "Tools of the last 24 hours",
            "The tools that were called most. Their names are those that the gateway's log gives them.",
            f"topk(20, sum by (tool) ({CALLS}))",
        ),
        over_time(
            "Failures",
            "Calls of tools that failed, and interceptions without an end yet, of the hour before.",
            (f"sum({FAILED_NOW})", "failed calls"),
            (f"sum({UNFINISHED})", "without an end"),
        ),
    ),
)

BOARD = Board(
    uid="collector-aibridge",
    title="Collector / AI usage",
    description="Tokens, costs, tools and users of AI models, from the logs of Coder's AI gateways.",
    rows=(DAY_ROW, TOKENS, USE),
    variables=(Variable("deployment", "Deployment", "collector_aibridge_users"),),
)
