"""What tokens cost."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from collector.rollup.prices import NOTHING, Cost, ModelPrices, PriceList, cost
from collector.wire.aibridge import KINDS, PARTS, Tokens

ONE = dict.fromkeys(KINDS, Decimal(1))


def test_a_million_tokens() -> None:
    """Prices are of a million tokens, and of one search."""
    tokens = Tokens(input=500_000, output=100, web_search_requests=3)

    assert cost(tokens, {"input": Decimal(3), "output": Decimal(10)}) == Cost(Decimal("1.501"), 0)
    assert cost(tokens, {"web_search_requests": Decimal("0.01")}) == Cost(Decimal("0.03"), 500_100)


def test_a_part_is_charged_once() -> None:
    """Tokens of a part with a price of its own are taken out of their whole."""
    tokens = Tokens(cache_creation_input=1_000_000, cache_ephemeral_1h_input=400_000, cache_ephemeral_5m_input=600_000)

    assert cost(tokens, {"cache_creation_input": Decimal(10)}) == Cost(Decimal(10), 0)
    assert cost(tokens, {"cache_creation_input": Decimal(10), "cache_ephemeral_1h_input": Decimal(20)}) == Cost(Decimal(14), 0)
    assert cost(tokens, {"cache_ephemeral_1h_input": Decimal(20)}) == Cost(Decimal(8), 600_000)


@given(
    counts=st.lists(st.integers(0, 10**12), min_size=len(KINDS), max_size=len(KINDS)), priced=st.sets(st.sampled_from(KINDS))
)
def test_no_token_is_charged_twice(counts: list[int], priced: set[str]) -> None:
    """At a price of one each, cost and what is without a price are all tokens together, whatever the parts claim."""
    tokens = Tokens(*counts)
    found = cost(tokens, {kind: Decimal(1_000_000) for kind in priced if kind != "web_search_requests"})

    assert (found.amount or 0) + found.unpriced_tokens == sum(getattr(tokens, whole) for whole in PARTS)


def test_nothing_without_a_price() -> None:
    """Without prices, and without tokens, there is no cost; zero is a price."""
    assert cost(Tokens(output=5), None) == Cost(None, 5)
    assert cost(Tokens(), ONE) == NOTHING
    assert cost(Tokens(output=5), {"output": Decimal(0)}) == Cost(Decimal(0), 0)
    assert Cost(None, 5) + Cost(Decimal(2), 1) == Cost(Decimal(2), 6)


def test_the_first_entry_that_fits() -> None:
    """A star stands for anything within the model's name; another provider's price is none."""
    special, others = ModelPrices("anthropic", "example-1-*", {}), ModelPrices("anthropic", "*", ONE)
    prices = PriceList("EUR", (special, others))

    assert prices.of("anthropic", "example-1-20260101") == {}
    assert prices.of("anthropic", "example-2") == ONE
    assert prices.of("openai", "example-2") is prices.of(None, None) is None
