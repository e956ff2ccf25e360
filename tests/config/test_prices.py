"""The file of prices."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from collector.config.prices import read_prices
from collector.wire.errors import InvalidOption

EXAMPLE = Path(__file__).parents[2] / "docs/aibridge-prices.example.yaml"
ENTRY = "currency: EUR\nmodels:\n- {provider: a, model: b, prices: %s}\n"


def test_the_example() -> None:
    """The documented file is one, and its prices are exact decimals."""
    prices = read_prices(str(EXAMPLE))

    assert prices is not None
    assert prices.currency == "EUR"
    assert prices.models[0].prices["cache_read_input"] == Decimal("0.2")
    assert (prices.of("anthropic", "example-large-9") or {})["input"] == 2
    assert read_prices("") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("currency: [", "is not valid YAML"),
        ("- a", "Expected `object`"),
        ("models: []", "missing required field `currency`"),
        (ENTRY % "{inputs: 1}", "'inputs' is none of input, output"),
        (ENTRY % "{input: -1}", "a/b: the price of input must be 0 or more"),
        (ENTRY % "{input: NaN}", "must be 0 or more"),
        (ENTRY % "{input: cheap}", "Invalid decimal"),
        (ENTRY % "[1]", "Expected `object`"),
        ("a" * 2_000_000, "is larger than"),
        ("\xff", "is not UTF-8"),
    ],
)
def test_what_is_no_price_list(tmp_path: Path, text: str, reason: str) -> None:
    """The message names the option, the file and what is wrong in it."""
    file = tmp_path / "prices.yaml"
    file.write_bytes(text.encode("latin-1"))

    with pytest.raises(InvalidOption, match=r"COLLECTOR_AIBRIDGE_PRICES: .*prices\.yaml") as error:
        read_prices(str(file))
    assert reason in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A service does not start without the prices that it was told to use."""
    with pytest.raises(InvalidOption, match="No such file"):
        read_prices(str(tmp_path / "none.yaml"))
