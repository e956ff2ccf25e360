"""What a client would rather have: ``Accept`` and ``Accept-Encoding`` (RFC 9110, 12.5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_QUALITY = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


class Offer(NamedTuple):
    """One element of such a header, in lower case: a media type or a coding, its parameters, and how welcome it is (0 to 1)."""

    name: str
    parameters: dict[str, str]
    quality: float


def offers(header: str) -> Iterator[Offer]:
    """The elements of ``header``. A weight that cannot be read is 0: what it belongs to is not what was asked for."""
    for element in header.lower().split(","):
        name, *rest = (part.strip() for part in element.split(";"))
        parameters = {key.strip(): value.strip(' "') for key, _, value in (part.partition("=") for part in rest)}
        weight = parameters.pop("q", "1")
        if name:
            yield Offer(name, parameters, float(weight) if _QUALITY.fullmatch(weight) else 0.0)


def quality(header: str, *names: str, **parameters: str) -> float:
    """How welcome any of ``names`` is, 0: not at all. With another value of one of ``parameters`` something else is meant."""
    return max(
        (
            offer.quality
            for offer in offers(header)
            if offer.name in names and all(offer.parameters.get(key, value) == value for key, value in parameters.items())
        ),
        default=0.0,
    )
