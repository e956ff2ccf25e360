"""POST /api/v2/agents: an agent that may report by itself, and its token."""

from __future__ import annotations

from functools import partial

import msgspec
from aiohttp import web

from collector.http import body
from collector.http.appkeys import DEPLOYMENT, NOW, WRITER
from collector.http.errors import json_response
from collector.http.operation import Operation
from collector.persist.agents import create_agent
from collector.wire.agents import NewAgent, NewAgentToken
from collector.wire.errors import Conflict, InvalidInput

BODY_LIMIT = 16 * 1024

_NEW = msgspec.json.Decoder(NewAgent)


@Operation(answer=NewAgentToken, status=201, body=NewAgent, refuses=(InvalidInput, Conflict))
async def post_agents(request: web.Request) -> web.Response:
    """Make an agent; 201 with its id and its token, which is shown this once."""
    content = await body.read(request, limit=BODY_LIMIT)
    try:
        asked = _NEW.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput("The body does not describe an agent.", str(error)) from error
    app = request.app
    agent, token = await app[WRITER].write(
        partial(
            create_agent,
            deployment=asked.deployment or app[DEPLOYMENT],
            workspace=asked.workspace,
            user=asked.user,
            template=asked.template,
            name=asked.name,
            now=app[NOW](),
        )
    )
    return json_response(NewAgentToken(agent.agent_id, token, agent.deployment, agent.workspace_id), status=201)
