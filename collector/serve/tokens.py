"""/users/{user}/keys/tokens: a user's own tokens, and for owners everybody's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

from aiohttp import web

from collector.http import body
from collector.http.access import FORBIDDEN, NOT_PERMITTED
from collector.http.appkeys import LIFETIMES, NOW, STORE
from collector.http.errors import json_response
from collector.http.guard import user_of
from collector.http.operation import Operation, Param
from collector.http.writing import written
from collector.normalize.tokens import new_token
from collector.persist.accounts import TokenListing, create_token, list_tokens, revoke_token, user_asked_for
from collector.wire.errors import Conflict, Forbidden, InvalidInput, NotFound
from collector.wire.identity import Role, User
from collector.wire.tokens import MadeToken, NewToken, Token, TokenConfig

BODY_LIMIT = 16 * 1024
MS = timedelta(milliseconds=1)
MICROSECOND = timedelta(microseconds=1)

ME = "me"
NO_USER = '"user" must be an existing uuid or username.'

USER = Param("user", "a user's id or name, or `me`", {"type": "string"}, example=ME)
ID = Param("id", "what stands before the dash of the token", {"type": "string"})


@Operation(answer=TokenConfig, path=(USER,), refuses=(InvalidInput,))
async def get_tokenconfig(request: web.Request) -> web.Response:
    """How long a token of this user may work, in nanoseconds. For owners another limit holds than for everybody else."""
    user = await _asked_for(request)
    return json_response(TokenConfig(request.app[LIFETIMES].limit(user.role) // MICROSECOND * 1_000))


@Operation(answer=list[Token], path=(USER,), refuses=(InvalidInput,))
async def get_tokens(request: web.Request) -> web.Response:
    """The tokens of a user that work, oldest first, without their secrets."""
    user, now = await _asked_for(request), request.app[NOW]()
    listings = await request.app[STORE].read(partial(list_tokens, user_id=user.id))
    return json_response([_token(it) for it in listings if it.revoked_at is None and it.expires_at > now])


@Operation(
    answer=MadeToken,
    status=201,
    path=(USER,),
    body=NewToken,
    refuses=(InvalidInput, Conflict),
)
async def post_tokens(request: web.Request) -> web.Response:
    """Make a token of a user. The answer holds it in clear, for the only time."""
    user = await _changed_by_caller(request)
    asked = new_token(await body.read(request, limit=BODY_LIMIT))
    lifetime = -(-asked.lifetime // 1_000) * MICROSECOND if asked.lifetime else None
    work = partial(
        create_token,
        user_id=user.id,
        lifetime_ms=request.app[LIFETIMES].granted(lifetime, user.role) // MS,
        now=request.app[NOW](),
        name=asked.token_name,
        scopes=asked.scopes,
    )
    return json_response(MadeToken(await written(request, work)), 201)


@Operation(status=204, path=(USER, ID), refuses=(InvalidInput, NotFound))
async def delete_token(request: web.Request) -> web.Response:
    """End a token of a user. Within 5 seconds it opens nothing any more."""
    user = await _changed_by_caller(request)
    token_id = request.match_info["id"].partition("-")[0]  # who names a whole token means it too, and is not to read it back
    work = partial(revoke_token, token_id=token_id, now=request.app[NOW](), user_id=user.id)
    await written(request, work)
    return web.Response(status=204)


async def _asked_for(request: web.Request) -> User:
    """The user in the path. A member sees nobody but itself, and cannot tell others from those that do not exist."""
    caller, asked = user_of(request), request.match_info["user"]
    if asked == ME:
        return caller
    unknown = InvalidInput(NO_USER, f"queried user={_quoted(asked)}")
    try:
        user = await request.app[STORE].read(partial(user_asked_for, text=asked))
    except NotFound:
        raise unknown from None
    if user.id != caller.id and caller.role is Role.MEMBER:
        raise unknown
    return user


async def _changed_by_caller(request: web.Request) -> User:
    """The user in the path, whose tokens the caller may change: itself, or an owner anybody."""
    caller, user = user_of(request), await _asked_for(request)
    if user.id != caller.id and caller.role is not Role.OWNER:
        raise Forbidden(FORBIDDEN, NOT_PERMITTED)
    return user


def _quoted(text: str) -> str:
    """``text`` as Go's ``%q`` writes it, for what an address can hold."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in escaped) + '"'


def _token(listing: TokenListing) -> Token:
    return Token(
        id=listing.id,
        user_id=listing.user_id,
        token_name=listing.name,
        scopes=tuple(sorted(listing.scopes or ())),
        created_at=_time(listing.created_at),
        expires_at=_time(listing.expires_at),
        last_used=_time(listing.last_used_at) if listing.last_used_at is not None else None,
        lifetime_seconds=(listing.expires_at - listing.created_at) // 1_000,
    )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1_000, UTC)
