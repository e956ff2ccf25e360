"""The same decoders under atheris, which keeps each body that reaches a new place of the code, and damages it further.

After ``pip install atheris``: ``python -m tests.failing.guided "agents' stats" -runs=100000``, a decoder by its name, then what
libFuzzer takes. It begins with what senders sent and with some of what ``fuzz.py`` makes of that. A body that ends in another
error than a refusal is left in a file, and belongs into the tests then.
"""

from __future__ import annotations

import importlib
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.failing.fuzz import Decoder

SEEDS = 200  # damaged bodies, beside those that senders sent


def decoder_named(name: str) -> tuple[Decoder, Any]:
    """The decoder, its code watched by atheris, and atheris."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["collector"]):
        fuzz = importlib.import_module("tests.failing.fuzz")
    found = {decoder.name: decoder for decoder in fuzz.DECODERS}
    if name not in found:
        sys.exit(f"There is no decoder {name!r}, but: {', '.join(found)}")
    return found[name], atheris


def main(arguments: Sequence[str]) -> None:
    """Look for a body that the decoder neither takes nor refuses; libFuzzer ends the process."""
    decoder, atheris = decoder_named(arguments[0] if arguments else "")
    fuzz, damage = importlib.import_module("tests.failing.fuzz"), importlib.import_module("tests.failing.damage")

    def one(body: bytes) -> None:
        try:
            decoder.read(body)
        except fuzz.REFUSALS:
            return

    with tempfile.TemporaryDirectory() as corpus:
        for number, body in enumerate(decoder.bodies):
            (Path(corpus) / str(number)).write_bytes(body)
        chance = random.Random(1)
        for number in range(SEEDS):
            (Path(corpus) / f"damaged-{number}").write_bytes(damage.damaged(chance, decoder.bodies))
        atheris.Setup([sys.argv[0], f"-max_len={2 * damage.LARGEST}", *arguments[1:], corpus], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
