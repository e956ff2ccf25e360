"""The file of COLLECTOR_AIBRIDGE_PRICES."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import yaml

from collector.config.yamlfile import read_text
from collector.rollup.prices import PriceList
from collector.wire.aibridge import KINDS
from collector.wire.errors import InvalidOption

OPTION = "COLLECTOR_AIBRIDGE_PRICES"


class _Loader(yaml.SafeLoader):
    """Numbers stay the text that stands there: a price is decimal, and 0.1 has no exact float."""


_Loader.yaml_implicit_resolvers = {}


def read_prices(path: str) -> PriceList | None:
    """The price list at ``path``; None when ``path`` is empty.

    Raises:
        InvalidOption: the file cannot be read, is no YAML, lacks something, or has a price of an unknown kind.
    """
    if not path:
        return None
    try:
        prices = msgspec.convert(yaml.load(read_text(path, OPTION), _Loader), PriceList)  # noqa: S506 (a SafeLoader with less in it)
    except yaml.YAMLError as error:
        raise InvalidOption(f"{OPTION}: {path!r} is not valid YAML: {' '.join(str(error).split())}") from None
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidOption(f"{OPTION}: {path!r}: {error}") from None
    for entry in prices.models:
        _check(path, f"{entry.provider}/{entry.model}", entry.prices)
    return prices


def _check(path: str, model: str, prices: Any) -> None:
    for kind, price in prices.items():
        if kind not in KINDS:
            raise InvalidOption(f"{OPTION}: {path!r}: {model}: {kind!r} is none of {', '.join(KINDS)}")
        if not (price.is_finite() and Decimal(0) <= price):
            raise InvalidOption(f"{OPTION}: {path!r}: {model}: the price of {kind} must be 0 or more")
