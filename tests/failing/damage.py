"""Damage for bodies that real senders sent: of their values, and of their bytes."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Sequence
from typing import Any

LARGEST = 4096  # bytes: what happens in a larger one happens in a small one, and sooner
PIECES = (
    *(
        b"null",
        b'"',
        b"{",
        b"[",
        b"}",
        b"]",
        b",",
        b":",
        b"\\",
        b"\\ud83d",
        b"\\u0000",
        b"\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b"\r\n",
    ),
    *(b"-1", b"1e999", b"9" * 400, b"0.1", b"NaN", b"true", b'""', b"{}", b"[[[[[[[[", b'{"a":' * 40, b" " * 300, b"x" * 3000),
    *(
        b"https://",
        b"data:",
        b"[::1]",
        b"xn--",
        b"%00",
        b"'nonce-",
        b"*",
        b"\xe2\x80\xae",
        b"0001-01-01T00:00:00Z",
        b"9999-12-31",
    ),
)
DEEPER = 0.7  # how probably a value within a value is the one to spoil
VALUES: tuple[object, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**31,
        2**63 - 1,
        2**63,
        -(2**63) - 1,
        10**400,
        0.5,
        1e308,
        -0.0,
        "",
        " ",
        "null",
        "12",
        "nan",
    ),
    *(
        [],
        {},
        [None],
        [[]],
        {"": {}},
        {"a": [1]},
        "\x00",
        "\ud83d",
        "\u202e",
        "a" * 3000,
        "\r\nX: y",
        "'; DROP TABLE x; --",
        "<script>",
    ),
    *(
        "https://",
        "https://[",
        "https://\u00e9.example:99999/",
        "data:x",
        "blob:",
        "chrome-extension://a/b",
        "inline",
        "self",
        "*",
    ),
    *(
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999+23:59",
        "2026-02-30T00:00:00Z",
        "start",
        "csp-violation",
        "network-error",
    ),
    *("00000000-0000-0000-0000-000000000000", "7c1d9a52-4f0e-4a0b-9d53-5f1f0c6be001", "script-src-elem", "enforce", "counter"),
)


def spoilt(chance: random.Random, body: bytes) -> bytes | None:
    """``body`` with another value at one to four places of its JSON; None when it is none."""
    try:
        whole = json.loads(body)
    except (ValueError, RecursionError):
        return None
    for _ in range(chance.randint(1, 4)):
        place: Any = None
        key: Any = None
        inner: Any = whole
        while isinstance(inner, dict | list) and inner and (place is None or chance.random() < DEEPER):
            place, key = inner, chance.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
            inner = place[key]
        if place is not None:
            place[key] = copy.deepcopy(chance.choice(VALUES))  # the next fault may be within it
    return json.dumps(whole).encode()


def damaged(chance: random.Random, bodies: Sequence[bytes]) -> bytes:
    """One of ``bodies`` with one to four faults, in its values or its bytes."""
    picked = chance.choice(bodies)
    if chance.random() < 0.5 and (found := spoilt(chance, picked)) is not None:
        return found
    body = bytearray(picked)
    for _ in range(chance.randint(1, 4)):
        start = chance.randint(0, len(body))
        end = min(len(body), start + chance.choice((0, 1, 4, 16, 200)))
        kind = chance.randrange(5)
        if kind == 0:
            body[start:end] = chance.choice(PIECES)
        elif kind == 1:
            body[start:end] = b""
        elif kind == 2:
            body[start:start] = body[start:end] * chance.randint(1, 3)
        elif kind == 3:
            other = chance.choice(bodies)
            at = chance.randint(0, len(other))
            body[start:end] = other[at : at + chance.choice((4, 40, 400))]
        else:
            body[start:end] = chance.randbytes(chance.randint(1, 4))
    return bytes(body[: 2 * LARGEST])
