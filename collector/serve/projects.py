"""/projects: the sites and teams whose data comes in."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from collector.http.appkeys import DEPLOYMENT, NOW, STORE
from collector.http.errors import json_response
from collector.http.operation import Operation, Param
from collector.http.writing import written
from collector.persist.projects import change, create_configured
from collector.rollup.projects import projects
from collector.serve.params import json_body
from collector.serve.scope import visible
from collector.wire.errors import Conflict, NotFound
from collector.wire.projects import Configuration, Project, ProjectChange, Projects

NAME = Param("name", "the name of a project", {"type": "string"})


@Operation(answer=Projects)
async def get_projects(request: web.Request) -> web.Response:
    """The projects that the caller may see, by name, with how they are configured and how they are doing."""
    read = partial(projects, now=request.app[NOW](), visible=await visible(request))
    return json_response(Projects(await request.app[STORE].read(read)))


@Operation(answer=Project, status=201, body=Configuration, refuses=(Conflict, NotFound))
async def post_project(request: web.Request) -> web.Response:
    """Make a project with a browser key."""
    wanted = await json_body(request, Configuration)
    make = partial(create_configured, wanted=wanted, deployment=request.app[DEPLOYMENT], now=request.app[NOW]())
    await written(request, make)
    return json_response(await _named(request, wanted.name), 201)


@Operation(answer=Project, path=(NAME,), body=ProjectChange, refuses=(NotFound,))
async def patch_project(request: web.Request) -> web.Response:
    """Change what is given of a project. Once it is ``retired`` its keys are answered with 410."""
    name, changes = request.match_info["name"], await json_body(request, ProjectChange)
    work = partial(change, name=name, changes=changes, deployment=request.app[DEPLOYMENT], now=request.app[NOW]())
    await written(request, work)
    return json_response(await _named(request, name))


async def _named(request: web.Request, name: str) -> Project:
    every = await request.app[STORE].read(partial(projects, now=request.app[NOW]()))
    return next(project for project in every if project.name == name)
