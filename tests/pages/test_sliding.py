"""How long a sign-in to the pages lasts, on the real listener and with a clock that is moved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from http.cookies import Morsel
from pathlib import Path

import pytest

from collector.http.appkeys import CREDENTIALS, STORE, WRITER
from collector.http.auth import TOKEN_NAME
from collector.persist.accounts import revoke_token
from collector.wire.clock import wall_clock
from tests.inside import Inside, running
from tests.serve.state import rename

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
HOUR_MS = 3_600_000


@dataclass
class Clock:
    """Milliseconds since the epoch; a test moves them."""

    at: int

    def __call__(self) -> int:
        """The time now."""
        return self.at


async def sign_in(inside: Inside, token: str = "") -> Morsel[str]:
    """The cookie of a new session, of the owner's token if none is given; the client carries it from now on."""
    form = {"token": token or inside.secrets.token}
    async with inside.client.post("/signin", data=form, headers=SAME_ORIGIN, allow_redirects=False) as response:
        assert response.status == 303
        return response.cookies[TOKEN_NAME]


async def signed_in(inside: Inside, session: str) -> bool:
    """Whether the API takes the session, as the page's own requests send it, when it is not remembered."""
    inside.app[CREDENTIALS].forget(session)
    inside.client.cookie_jar.clear()
    async with inside.client.get("/api/v2/csp/violations", cookies={TOKEN_NAME: session}) as response:
        return response.status == 200


async def use(inside: Inside, session: str) -> None:
    """Use the session, and let that be noted as the job does every 30 seconds."""
    assert await signed_in(inside, session)
    await inside.app[CREDENTIALS].note_use(inside.app[WRITER].write)


@pytest.fixture
def clock() -> Clock:
    """The service's clock."""
    return Clock(wall_clock())


async def test_a_session_lasts_from_its_last_use(migrated_url: str, tmp_path: Path, clock: Clock) -> None:
    """Used after 23 of its 24 hours it lasts 24 more, and then it has ended."""
    async with running(migrated_url, tmp_path, clock) as inside:
        session = (await sign_in(inside)).value
        clock.at += 23 * HOUR_MS
        await use(inside, session)
        clock.at += 24 * HOUR_MS - 1
        assert await signed_in(inside, session)
        clock.at += 1
        assert not await signed_in(inside, session)
        await use_is_too_late(inside, session)


async def use_is_too_late(inside: Inside, session: str) -> None:
    """Whatever is noted afterwards, a session that has ended is not begun again."""
    await inside.app[CREDENTIALS].note_use(inside.app[WRITER].write)
    assert not await signed_in(inside, session)


async def test_its_end_is_moved_at_most_once_an_hour(tmp_path: Path, clock: Clock) -> None:
    """A use within the first hour writes nothing and moves nothing."""
    async with running("sqlite", tmp_path, clock) as inside:
        session = (await sign_in(inside)).value
        clock.at += HOUR_MS - 1
        await use(inside, session)
        clock.at += 23 * HOUR_MS + 1
        assert not await signed_in(inside, session)


@pytest.mark.parametrize("after", [25, 30])
async def test_without_refresh_the_end_is_fixed(tmp_path: Path, clock: Clock, after: int) -> None:
    """CODER_DISABLE_SESSION_EXPIRY_REFRESH ends a session of 30 hours after 30 hours, however much it was used."""
    options = {"CODER_DISABLE_SESSION_EXPIRY_REFRESH": "true", "CODER_SESSION_DURATION": "30h"}
    async with running("sqlite", tmp_path, clock, **options) as inside:
        session = (await sign_in(inside)).value
        clock.at += 20 * HOUR_MS
        await use(inside, session)
        clock.at += (after - 20) * HOUR_MS
        assert await signed_in(inside, session) == (after < 30)


async def test_a_session_ends_with_its_token(migrated_url: str, tmp_path: Path) -> None:
    """Once the token is revoked, what was begun with it opens nothing any more."""
    async with running(migrated_url, tmp_path) as inside:
        session = (await sign_in(inside)).value
        assert await signed_in(inside, session)
        token_id, now = inside.secrets.token.partition("-")[0], wall_clock()
        await inside.app[STORE].transact(partial(revoke_token, token_id=token_id, now=now))
        assert not await signed_in(inside, session)


async def test_signing_out_ends_the_session_alone(migrated_url: str, tmp_path: Path) -> None:
    """A copy of the cookie is worth nothing afterwards; the token and its other sessions are good as before."""
    async with running(migrated_url, tmp_path) as inside:
        other = (await sign_in(inside)).value
        session = (await sign_in(inside)).value
        forged = f"{other.partition('-')[0]}-{session.partition('-')[2]}"
        for ended in (session, forged):
            async with inside.client.post("/signout", headers=SAME_ORIGIN, cookies={TOKEN_NAME: ended}) as response:
                assert response.status == 200  # the page behind the redirect
        assert [await signed_in(inside, which) for which in (session, other)] == [False, True]
        assert (await inside.get("/api/v2/csp/violations"))["count"] == 0


async def test_while_nothing_can_be_stored_nobody_signs_in(migrated_url: str, tmp_path: Path) -> None:
    """It is 503 with the time after which to try again, and no cookie."""
    async with running(migrated_url, tmp_path) as inside:
        await rename(inside.app[STORE], "sessions", "away")
        form = {"token": inside.secrets.token}
        await inside.get("/api/v2/csp/violations")  # the token is remembered
        async with inside.client.post("/signin", data=form, headers=SAME_ORIGIN, allow_redirects=False) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
            assert not response.cookies


async def test_the_cookie_is_what_the_options_say(tmp_path: Path) -> None:
    """It can be marked Secure on plain HTTP too, for a proxy that hides what the browser speaks, and SameSite None."""
    options = {"CODER_SECURE_AUTH_COOKIE": "true", "CODER_SAMESITE_AUTH_COOKIE": "None"}
    async with running("sqlite", tmp_path, **options) as inside:
        cookie = await sign_in(inside)
        assert (cookie["secure"], cookie["samesite"], cookie["httponly"]) == (True, "None", True)


async def test_a_session_may_be_given_to_sign_in(tmp_path: Path) -> None:
    """What stands in the cookie is a token like others to whoever has it: it begins a session of the same token."""
    async with running("sqlite", tmp_path) as inside:
        session = (await sign_in(inside)).value
        again = (await sign_in(inside, session)).value
        assert again != session
        assert await signed_in(inside, again)
