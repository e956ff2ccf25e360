"""What is asked of a token, and for how long it may work."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.normalize.tokens import Lifetimes, new_token, token_name
from collector.wire.errors import InvalidInput
from collector.wire.identity import Role, Scope
from collector.wire.tokens import NewToken

LIFETIMES = Lifetimes(usual=timedelta(days=7), longest=timedelta(days=90), longest_of_owner=timedelta(days=2))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"scope":"application_connect"}', "scope"),
        (b'{"scopes":["workspace:read"]}', "scopes[0]"),
        (b'{"lifetime":-1}', "lifetime"),
        (b'{"lifetime":9223372036854775808}', "lifetime"),
        (b'{"token_name":"a\\u0000b"}', "token_name"),
    ],
)
def test_what_cannot_be_granted_is_named(body: bytes, field: str) -> None:
    """The field that cannot be used stands in the refusal."""
    with pytest.raises(InvalidInput) as refused:
        new_token(body)
    assert [validation.field for validation in refused.value.validations] == [field]


@pytest.mark.parametrize("body", [b'{"allow_list":["x"]}', b"", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"lifetime":1'])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    """A field that is not known might have been meant to narrow the token, so it is refused as well."""
    with pytest.raises(InvalidInput):
        new_token(body)


def test_nothing_has_to_be_said() -> None:
    """An empty object asks for a token without scopes, for the usual time."""
    assert new_token(b'{"scope":"all"}') == NewToken(scope="all")
    assert new_token(b"{}") == NewToken()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([*Scope, "all"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NewToken.__struct_fields__) | st.text(), inner),
)


@given(st.binary() | json_values.map(msgspec.json.encode))
def test_any_body_is_a_request_or_refused(body: bytes) -> None:
    """Whatever is sent, what is asked has known scopes, a name of one line and a lifetime of 64 bits."""
    try:
        asked = new_token(body)
    except InvalidInput:
        return
    assert 0 <= asked.lifetime < 2**63
    assert token_name(asked.token_name) == asked.token_name
    assert set(asked.scopes) <= set(Scope)


def test_the_role_sets_the_limit() -> None:
    """An owner's is one of its own; without a wish the usual lifetime is granted, or the limit when that is shorter."""
    assert LIFETIMES.granted(None, Role.MEMBER) == timedelta(days=7)
    assert LIFETIMES.granted(None, Role.OWNER) == timedelta(days=2)
    assert LIFETIMES.granted(timedelta(days=90), Role.AUDITOR) == timedelta(days=90)
    with pytest.raises(InvalidInput, match="too long"):
        LIFETIMES.granted(timedelta(days=90, microseconds=1), Role.MEMBER)
    with pytest.raises(InvalidInput, match="too long"):
        LIFETIMES.granted(timedelta(days=3), Role.OWNER)


@pytest.mark.parametrize("text", ["x" * 65, "a\nb", "a\x9fb"])
def test_a_name_is_one_short_line(text: str) -> None:
    """Or it is refused."""
    with pytest.raises(InvalidInput, match="cannot be used"):
        token_name(text)
