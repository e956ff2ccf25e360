"""What tokens cost, by a price list of the operator's own."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import NamedTuple

import msgspec

from collector.wire.aibridge import PARTS, Tokens

PER_TOKENS = 1_000_000
REQUESTS = "web_search_requests"


class ModelPrices(msgspec.Struct, frozen=True):
    """Prices of the models of one provider whose names fit ``model``, in which ``*`` stands for anything.

    ``prices`` are by kind: of a million tokens, and of one web search.
    """

    provider: str
    model: str
    prices: Mapping[str, Decimal]


class PriceList(msgspec.Struct, frozen=True):
    """Of several entries that fit a model the first one counts."""

    currency: str
    models: tuple[ModelPrices, ...] = ()

    def of(self, provider: str | None, model: str | None) -> Mapping[str, Decimal] | None:
        """The prices of a model; None when it is unknown or not in the list."""
        if provider is None or model is None:
            return None
        fits = (entry for entry in self.models if entry.provider == provider and fnmatchcase(model, entry.model))
        return next((entry.prices for entry in fits), None)


class Cost(NamedTuple):
    """The cost of some tokens, None when none of them has a price, and how many have none."""

    amount: Decimal | None
    unpriced_tokens: int

    def __add__(self, other: Cost) -> Cost:  # type: ignore[override] # sums, not concatenation
        amounts = [amount for amount in (self.amount, other.amount) if amount is not None]
        return Cost(sum(amounts, Decimal(0)) if amounts else None, self.unpriced_tokens + other.unpriced_tokens)


NOTHING = Cost(None, 0)


def cost(tokens: Tokens, prices: Mapping[str, Decimal] | None) -> Cost:
    """What ``tokens`` cost. No token is charged twice: one of a part with a price of its own leaves its whole."""
    amount, unpriced = Decimal(0), 0
    priced = False
    for whole, parts in PARTS.items():
        left = getattr(tokens, whole)
        for part in parts:
            if prices and part in prices:
                count = min(getattr(tokens, part), left)
                amount += count * prices[part] / PER_TOKENS
                left, priced = left - count, priced or count > 0
        if prices and whole in prices:
            amount += left * prices[whole] / PER_TOKENS
            priced = priced or left > 0
        else:
            unpriced += left
    if prices and REQUESTS in prices and tokens.web_search_requests:
        amount, priced = amount + tokens.web_search_requests * prices[REQUESTS], True
    return Cost(amount if priced else None, unpriced)
