"""The ten operations of the General API: the shapes of the page, and what stands in them."""

from __future__ import annotations

import re
from pathlib import Path

from collector.http.appkeys import DEPLOYMENT
from tests.inside import Inside, running
from tests.page import PAGE, SET, answer_of, misshapen
from tests.postgres import free_port
from tests.serve.state import ready

PREFIX = "/api/v2"


async def test_answers_have_the_shape_of_the_page(migrated_url: str, tmp_path: Path) -> None:
    """Of all ten operations: no key of the page is missing in the live answer, and none has another JSON type."""
    async with running(migrated_url, tmp_path, **SET) as inside:
        await ready(inside)
        answers = {operation: await answer_of(inside, operation) for operation in PAGE}

    assert misshapen(answers) == []


async def test_the_root_greets(standing: Inside) -> None:
    """With or without a slash, signed in or not."""
    for path in (PREFIX, f"{PREFIX}/"):
        async with standing.client.get(path) as response:
            assert await response.json() == {"message": "👋", "detail": "", "validations": []}


async def test_a_leaf_has_no_slash(standing: Inside) -> None:
    """Only the root and /experiments answer with a slash at their end."""
    async with standing.client.get(f"{PREFIX}/buildinfo/") as response:
        assert (response.status, await response.json()) == (404, {"message": "Route not found."})


async def test_the_build_says_what_clients_look_for(tmp_path: Path) -> None:
    """A semantic version with a "v", which is also the header's; where people go; and the id of the deployment."""
    address = f"127.0.0.1:{free_port()}"
    options = {
        "CODER_ACCESS_URL": "https://stats.example/",
        "CODER_HTTP_ADDRESS": address,
        "CODER_CLI_UPGRADE_MESSAGE": "Ask <ops>.",
    }
    async with running("sqlite", tmp_path, **options) as inside:
        deployment = inside.app[DEPLOYMENT]
        async with inside.client.get(f"http://{address}{PREFIX}/buildinfo") as response:
            version, build = response.headers["X-Coder-Build-Version"], await response.json()

    assert re.fullmatch(r"v\d+\.\d+\.\d+", version)
    assert build == {
        "external_url": "https://stats.example",
        "version": version,
        "dashboard_url": "https://stats.example",
        "telemetry": False,
        "workspace_proxy": False,
        "agent_api_version": "1.0",
        "provisioner_api_version": "1.14",
        "upgrade_message": "Ask <ops>.",
        "deployment_id": deployment,
        "webpush_public_key": "",
    }


async def test_the_build_names_the_documentation_that_an_operator_names(tmp_path: Path) -> None:
    """A client that asks what runs here is led there, and not to what the option's default says about another service."""
    async with running("sqlite", tmp_path, CODER_DOCS_URL="https://docs.example/collector") as inside:
        async with inside.client.get(f"{PREFIX}/buildinfo") as response:
            build = await response.json()
        async with inside.client.get(f"{PREFIX}/updatecheck") as response:
            update = await response.json()

    assert (build["external_url"], update["url"]) == ("https://docs.example/collector", "https://docs.example/collector")


async def test_ssh_options_are_parted_and_sorted(tmp_path: Path) -> None:
    """At the first "=" or blank, with nothing trimmed; of two with one name the later counts; an empty prefix is the usual."""
    options = {
        "CODER_SSH_CONFIG_OPTIONS": "UserKnownHostsFile=/dev/null,SetEnv A=1,Port 22,Port= 23,Empty=",
        "CODER_WORKSPACE_HOSTNAME_SUFFIX": "ws",
    }
    async with running("sqlite", tmp_path, **options) as inside:
        ssh = await inside.get(f"{PREFIX}/deployment/ssh")

    assert ssh == {
        "hostname_prefix": "coder.",
        "hostname_suffix": "ws",
        "ssh_config_options": {"Empty": "", "Port": " 23", "SetEnv": "A=1", "UserKnownHostsFile": "/dev/null"},
    }
    assert list(ssh["ssh_config_options"]) == sorted(ssh["ssh_config_options"])


async def test_experiments_are_kept_as_they_were_named(tmp_path: Path) -> None:
    """In lower case, unknown ones and repetitions among them; the asterisk is all that are safe, which are none."""
    async with running("sqlite", tmp_path, CODER_EXPERIMENTS="foo,BAR,*,foo") as inside:
        for path in (f"{PREFIX}/experiments", f"{PREFIX}/experiments/"):
            assert await inside.get(path) == ["foo", "bar", "foo"]
        assert await inside.get(f"{PREFIX}/experiments/available") == []


async def test_without_a_feed_this_build_is_current(inside: Inside) -> None:
    """Nobody is asked, and the version and the address are the build's own."""
    async with inside.client.get(f"{PREFIX}/updatecheck") as response:
        update = await response.json()
    async with inside.client.get(f"{PREFIX}/buildinfo") as response:
        build = await response.json()

    assert update == {"current": True, "version": build["version"], "url": build["external_url"]}
