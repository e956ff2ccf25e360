"""``docs/api.md``, made of the route table and what is said beside its handlers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from collector.http.operation import Param, Route
from collector.serve.openapi import Described, described, in_words
from collector.wire.identity import Scope

HEAD = """# API

<!-- Made by `collector api docs`. Change the handlers and ROUTES in collector/routes.py, or collector/serve/reference.py. -->

Every route of the service. Bodies are JSON in UTF-8, times RFC 3339 in UTC. A running service serves the same as an OpenAPI
3.1 document at `/api/v2/openapi.json`, to generate a client from, and with `CODER_SWAGGER_ENABLE=true` as a page at
`/swagger`. Where the API of a Coder server differs stands in [compatibility.md](compatibility.md).

## Who is calling

| access | credential |
|---|---|
| public | none |
| signed in | the token of any user |
| self | the token of any user, without scopes; a member sees and changes what is its own |
| read | the token of an owner or auditor; one with scopes needs the route's |
| projects | the same, and the token of a member, who sees the projects that it was named for |
| owner | the token of an owner, without scopes |
| feed | a feed key as `Authorization: Bearer …` or as a Basic password, never in a URL; or an owner's token |
| agent | an agent's token, an UUID, where a session token may stand |
| csp | a browser key in `?key=`, or any user's token |

A token is looked for in the cookie `coder_session_token`, the query parameter of the same name, the header
`Coder-Session-Token`, `Authorization: Bearer`, and the query parameter `access_token`, in this order.

What signs in to the page gets a session in place of its token: a cookie of that name, good for `CODER_SESSION_DURATION`
after its last use and never longer than the token. It opens what the token opens; signing out ends it.

Slashes in a row count as one. Pages and probes answer `HEAD` like `GET`. A preflight of another site's page gets an empty
200 that allows nothing, unless `CODER_DANGEROUS_ALLOW_CORS_REQUESTS` is on; `/csp/reports` is open to all pages anyway.
"""

TAIL = """## CSP reports

What becomes of a report, and how often it is delivered, stands in [csp.md](csp.md); what is noise in [noise.md](noise.md);
how a policy is made of it in [policy.md](policy.md).

The shape decides, not the content type: an object with `csp-report`, an array of the Reporting API, or one object with
`type` and `body`. An object may have 64 KiB, an array 1 MiB and 1,000 entries; gzip and deflate are inflated within the same
limits. Entries of an array are judged one by one: a bad one is counted as dropped and the others are stored. A body that is
not JSON, or an object that no browser sends, is a 400.

## Violations

`next` is null on the last page. A page costs what it shows: by filters other than `noise`, `project` and `state` it looks at
5,000 violations, so it may hold fewer than `limit` and still have a `next`. `count` says how many match, up to 10,000.

The order by `first_seen` (when a violation was first stored) never changes. The other orders follow the reports within some
ten seconds: a violation that rises above your place while you walk the pages is not met again, and none is met twice unless
by `trend`. The `trend` compares a violation's rate with what is usual for it: 1 is steady, 28 is new, near 0 is silent.

In the export a CSV cell that a spreadsheet would take for a formula begins with `'`. A group sums up what agrees in directive,
blocked key and noise class, of the 20,000 most reported violations.

Documents, browsers, blocked paths and policies are the 20 values of each that a violation was seen with; all others are
counted under an empty value. `clients` is an estimate: the most different senders of one day, from a sketch that holds no
address. Where only hours or days are known any more the step of the series is longer than the one asked for.

A violation is `open` until somebody decides otherwise. A `resolved` one opens again when it is reported under a policy that
was first seen after it was resolved: reports under older ones come from pages that browsers have in their caches. The other
states stay. Who changed what is kept for a year. A request that changes anything with the cookie has to come from this
service's own pages.

A project may make `COLLECTOR_CSP_NEW_VIOLATIONS` violations an hour. The reports of further ones are counted in one violation
a directive and noise class, whose `blocked_kind` is `overflow`. `policy_allows` says that the policy of the newest report seems
to allow what was blocked ([why](csp.md#policy_allows)).

## Projects

| field | default | meaning |
|---|---|---|
| `name` | | 1 to 64 of a-z, 0-9, dot, dash, underscore; it is never changed |
| `allowed_origins` | any | origins of documents, for browser keys that have none of their own |
| `retention_days` | as the service | how long a violation is kept after its last report, when that is shorter |
| `sample_rate` | 1 | the share of reports that is kept; the others are counted as `sampled_out` |
| `ingest_rate` | none | reports of browsers a minute, of all its keys together; more are counted as `over_budget` |
| `retired` | false | all its keys are answered with 410 within 5 seconds; what it has stays readable |
| `members` | none | the members who may read it |

`collector project apply projects.yaml` gives projects the configuration of a file (`projects: [{name: shop, …}]`); applied
again it changes nothing. What a file leaves out of a project is the default, only its members stay as they are.

`endpoint` is `never seen`, `live` (a report within the last day, whatever became of it) or `silent`: that nothing comes in is
not a sign that nothing is blocked. `readiness` counts the days on which reports came, the days since the last violation that
was new and no noise, and the open ones; it is `ready` at 14, 7 and none.

## Agent reports and workspaces

Arrays of up to 10,000 rows and 8 MiB, judged row by row: `rejected` holds `{index, error}` of each row that was not stored.
An agent report with an `id` counts once, however often it is sent. A workspace is upserted by its `id`; an older build never
overwrites a newer one.

## AI bridge

A log is the one of a Coder server, as JSON or for people; gzip is inflated as it comes. It is read and committed in chunks.
`skipped` counts what is not about the AI bridge; `rejected` holds `{line, error}` of the first 1,000 lines that could not be
used, `rejected_count` counts all. A record that is known already, from this log or another one, is a `duplicate` and changes
nothing: so after a 503 or a broken connection send the same again. A line may have 1 MiB, and the next piece of the body must
come within 30 s. The budget of the key is not spent: a log is as slow as its own commits.

Of usage each result, and the total, has `interceptions`, `unfinished` (of them, without an end), `prompts`, `tool_calls`,
`errors` (of them, failed ones), `model_thoughts`, `tokens` by kind, `duration_ms` (-1 when nothing has ended), `cost` and
`unpriced_tokens`. `input`, `output`, `cache_read_input` and `cache_creation_input` add up to all tokens; the other kinds are
parts of these. A key is null where the start of an interception has not come. More than 10,000 groups are a 400.
[AI bridge](aibridge.md) says more.

## Agents that report by themselves

Workspace, user and template of a new agent are UUIDs or names. With its token it posts Coder's `agentsdk.Stats`; without
`connections_by_proto`, or with null for them, it only asks for the interval, which is in nanoseconds. Its `metrics` are kept
for two minutes, in memory.

## Telemetry

A Coder server whose `CODER_TELEMETRY_URL` is `https://any:FEED_KEY@collector.example` sends its telemetry to `/deployment` and
`/snapshot`, at most 32 MiB a message. [Telemetry](telemetry.md) says what is kept of it.

## History

Each point names its `source`, and whether that gives approximations only (`approximate`).

`fields` says of each number whether it is a `gauge`, a `window_sum` (never to be added up: windows overlap) or a
`percentile` (never to be averaged). A step without a snapshot is a gap: all null. A latency of -1 means that none was seen.

## Tokens

`{user}` is a user's id in any spelling of a UUID, a name in whatever case, or `me`. A member sees nobody but itself; owners
and auditors see everybody, and owners change everybody's tokens.

`POST` takes `{token_name?, lifetime?, scopes?}`, where `lifetime` is in nanoseconds, `CODER_DEFAULT_TOKEN_LIFETIME` when it is
absent or 0, and at most `CODER_MAX_TOKEN_LIFETIME`, for an owner `CODER_MAX_ADMIN_TOKEN_LIFETIME`. An unknown field is refused,
since it may have been meant to narrow the token. Without scopes a token opens all that the role of its user opens. With
scopes it opens the routes that name one of them, and what any signed-in user may see; it makes no tokens and brings nothing
in. A request that changes tokens with the cookie has to come from this service's own pages.

Of a user 10,000 tokens are kept; ended ones go `CODER_API_KEYS_RETENTION` after their end.

## Updates

`/updatecheck` compares this build with the release that `COLLECTOR_UPDATE_CHECK_URL` names, which is asked once a day. A feed
that fails is no error: what was known before stays the answer, and without anything this build counts as current. A request
that comes before the end of the first check waits for it, at most 10 seconds.

## Refusals

`{message, detail?, validations?: [{field, detail}]}` with one of these:

| status | when |
|---|---|
| 400 | the body or a parameter cannot be used, or the first snapshot has not been built |
| 401 | no credential, or one that is unknown, expired or revoked; see below |
| 403 | the credential is known but may not do this |
| 404, 405 | no such route, or not with this method |
| 409 | the thing exists already, or there are too many of its kind |
| 410 | the project of the key was retired |
| 413 | the body is too large |
| 414, 431 | the URL, or a header, is too long |
| 417 | `Expect` asks for something other than `100-continue` |
| 428 | `X-Coder-Bypass-Ratelimit: true` from a user who is no owner; an owner's requests are not counted with it |
| 429 | over `CODER_API_RATE_LIMIT` on one route, or a feed key over `COLLECTOR_INGEST_RATE_LIMIT`; `Retry-After` says when |
| 500 | a fault of the service; it is logged in full |
| 503 | nothing was stored, or the store cannot be read; try again after `Retry-After` |

Wrong paths below `/api/v2/deployment`, `/api/v2/experiments` and `/api/v2/users` are 401 to whoever has no credential. A
browser key over its budget gets no 429: a browser would send again, so the excess is counted as dropped (`over_budget`).
"""


def reference(routes: Sequence[Route]) -> str:
    """The page: who may call, every route, every parameter, and what no table can say."""
    return "\n".join([HEAD, *_scopes(routes), *_routes(routes), *_parameters(described(routes)), TAIL])


def _scopes(routes: Iterable[Route]) -> Iterator[str]:
    yield "| scope | opens |\n|---|---|"
    for scope in Scope:
        opened = [f"`{route.path}`" for route in routes if route.scope is scope]
        yield f"| `{scope}` | {', '.join(opened) or 'nothing yet'} |"
    yield ""


def _routes(routes: Sequence[Route]) -> Iterator[str]:
    yield "## Routes\n\n| method and path | access | what it does |\n|---|---|---|"
    for route in routes:
        first = next(other for other in routes if (other.method, other.handler) == (route.method, route.handler))
        words = in_words(route) if first is route else f"The same as `{first.path}`."
        yield f"| `{route.method} {route.path}` | {route.access.value} | {words} |"
    yield ""


def _parameters(entries: Iterable[Described]) -> Iterator[str]:
    yield "## Parameters\n\n| route | parameter | without it | meaning |\n|---|---|---|---|"
    for entry in entries:
        for param in () if entry.is_alias else entry.operation.query:
            yield _row(entry.route, param)
    yield ""


def _row(route: Route, param: Param) -> str:
    return f"| `{route.path}` | `{param.name}` | {param.default} | {param.meaning} |".replace("|  |", "| |")
