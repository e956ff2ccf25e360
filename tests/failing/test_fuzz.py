"""Damaged bodies are refused in words, whatever the damage."""

from __future__ import annotations

import pytest

from tests.failing.fuzz import DECODERS, Decoder, fuzz


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name)
def test_no_damage_is_an_error_of_ours(decoder: Decoder) -> None:
    """A decoder takes what it is given or refuses it; some of both, or the bodies would show little."""
    refused, culprit = fuzz(decoder, 300, seed=1)
    assert culprit is None
    assert refused < 300
