"""What was loaded, in the shapes of /deployment/config."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.config.deployment import deployment_config, url_parts
from collector.config.loading import load
from collector.config.options import OPTIONS
from collector.config.values import read_url
from collector.wire.config import Url
from tests.page import PAGE, differences


def answer(env: dict[str, str] | None = None) -> dict[str, Any]:
    """The answer for an environment, as a client decodes it."""
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(deployment_config(load({}, env or {}))))
    return decoded


def option(found: dict[str, Any], name: str) -> dict[str, Any]:
    """One entry of ``options``."""
    (entry,) = [entry for entry in found["options"] if entry["name"] == name]
    return dict(entry)


FILLED = {
    "CODER_SUPPORT_LINKS": '[{"name": "Help", "target": "https://help.example"}]',
    "CODER_EXTERNAL_AUTH_0_ID": "gh",
    "CODER_OIDC_EMAIL_DOMAIN": "example.com",
    "CODER_ACCESS_URL": "https://csp.example",
}


@pytest.mark.parametrize("env", [{}, FILLED], ids=["nothing set", "structures set"])
def test_no_key_and_no_type_differs_from_the_page(env: dict[str, str]) -> None:
    """Every key of the page's example is there with its JSON type, in every option too, whether anything is set or not."""
    assert differences(PAGE["GET /deployment/config"], answer(env)) == []


def test_the_comparison_finds_what_differs() -> None:
    """A key that is missing and a type that differs are both found, at any depth."""
    found = answer()
    del found["config"]["derp"]["server"]["region_id"]
    found["config"]["oidc"]["scopes"] = None
    found["options"][3]["hidden"] = "no"

    assert differences(PAGE["GET /deployment/config"], found) == [
        ".config.derp.server.region_id: missing",
        ".config.oidc.scopes: null for list",
        ".options[].hidden: string for boolean",
    ]


def test_values_have_the_shapes_of_the_page() -> None:
    """Durations are nanoseconds, addresses and URLs objects, structures under ``value``; the largest default is exact."""
    config = answer(FILLED | {"CODER_PROMETHEUS_ADDRESS": "[::1]:2112"})["config"]

    assert config["session_lifetime"]["max_token_lifetime"] == 3_155_760_000_000_000_000
    assert config["prometheus"]["address"] == {"host": "::1", "port": "2112"}
    assert config["address"] == {"host": "", "port": ""}
    assert config["http_address"] == "127.0.0.1:3000"
    assert config["access_url"] | {"scheme": "https", "host": "csp.example"} == config["access_url"]
    assert config["oidc"]["group_regex_filter"] == {"value": ".*"}
    assert config["oidc"]["auth_url_params"] == {"access_type": "offline"}
    assert config["external_auth"]["value"][0]["id"] == "gh"
    assert config["support"]["links"]["value"][0]["name"] == "Help"
    assert config["telemetry"]["trace"] is False
    assert config["config_ssh"] == {"deploymentName": "coder.", "sshconfigOptions": []}
    assert config["http_cookies"]["same_site"] == "lax"


def test_options_have_the_shapes_of_the_real_server() -> None:
    """What the page leaves open is as clients decode it: texts for URLs and addresses, choices with a value, null for unset."""
    found = answer(FILLED)

    assert option(found, "Access URL")["value"] == "https://csp.example"
    assert option(found, "TLS Address")["value"] == "127.0.0.1:3443"
    assert option(found, "Address")["value"] == ""
    assert option(found, "SameSite Auth Cookie")["value"] == {"Choices": ["lax", "none"], "Value": "lax"}
    assert option(found, "TLS Ciphers")["value"] is None
    assert option(found, "OIDC Email Domain")["value"] == ["example.com"]
    assert option(found, "Session Duration")["value"] == 86_400_000_000_000
    assert option(found, "Session Duration")["default"] == "24h0m0s"
    assert option(found, "Session Duration")["annotations"] == {"format_duration": "true"}
    assert option(found, "Browser Only")["annotations"] == {"enterprise": "true"}


def test_options_are_sorted_and_whole() -> None:
    """Every option is there, hidden ones too, by name in the order of bytes, each with its source."""
    found = answer({"CODER_VERBOSE": "true"})
    names = [entry["name"] for entry in found["options"]]

    assert names == sorted((option.name for option in OPTIONS), key=str.encode)
    assert names[0] == "AI Bridge Anthropic Base URL"
    sources = {entry["name"]: entry["value_source"] for entry in found["options"]}
    assert (sources["Verbose"], sources["HTTP Address"], sources["Access URL"]) == ("env", "default", "")


def test_groups_nest() -> None:
    """The leaf group comes first and leads to those above it; its YAML key is its own alone."""
    group = option(answer(), "Stats Collection Usage Stats Enable")["group"]

    assert (group["name"], group["yaml"]) == ("Usage Stats", "usageStats")
    assert group["parent"]["name"] == "Stats Collection"
    assert group["parent"]["parent"]["name"] == "Introspection"
    assert option(answer(), "Experiments")["group"]["name"] == ""


def test_secrets_are_removed_everywhere() -> None:
    """A secret is empty in ``config`` and null in ``options``, within ``use_instead`` too; its source and mark stay."""
    found = answer({"CODER_EMAIL_AUTH_PASSWORD": "s3cret", "CODER_PG_CONNECTION_URL": "postgres://ada:s3cret@db/x"})
    older = option(found, "Notifications: Email Auth: Password")

    assert "s3cret" not in json.dumps(found)
    assert found["config"]["notifications"]["email"]["auth"]["password"] == ""
    assert found["config"]["pg_connection_url"] == ""
    assert found["config"]["external_token_encryption_keys"] == []
    assert (older["value"], older["value_source"], older["annotations"]) == (None, "env", {"secret": "true"})
    assert (older["use_instead"][0]["name"], older["use_instead"][0]["value"]) == ("Email Auth: Password", None)


def test_userinfo_is_removed() -> None:
    """A password within a URL is shown nowhere, whatever the option's type."""
    urls = {
        "CODER_DERP_SERVER_RELAY_URL": "https://ada:s3cret@relay.example",
        "CODER_OIDC_ISSUER_URL": "https://s3cret@id.example",
        "CODER_EXTERNAL_AUTH_0_AUTH_URL": "https://ada:s3cret@git.example",
        "CODER_OIDC_SCOPES": "https://s3cret@scope.example",
    }
    found = answer(urls)

    assert "s3cret" not in json.dumps(found)
    assert found["config"]["derp"]["server"]["relay_url"]["host"] == "relay.example"
    assert option(found, "OIDC Issuer URL")["value"] == "https://id.example"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", {}),
        ("https://a.example:8443/x?q=1#top", {"host": "a.example:8443", "path": "/x", "rawQuery": "q=1", "fragment": "top"}),
        ("https://a/b%20c", {"host": "a", "path": "/b c"}),
        ("https://a/b%2Fc", {"host": "a", "path": "/b/c", "rawPath": "/b%2Fc"}),
        ("https://a/?", {"host": "a", "path": "/", "forceQuery": True}),
        ("https://[::1]:80", {"host": "[::1]:80"}),
        ("mailto:ada@b.example", {"scheme": "mailto", "opaque": "ada@b.example"}),
        ("file:/etc/x", {"scheme": "file", "omitHost": True, "path": "/etc/x"}),
        ("/relative", {"scheme": "", "path": "/relative"}),
    ],
)
def test_urls_are_taken_apart_as_go_does(text: str, parts: dict[str, Any]) -> None:
    """Host with port, decoded path, the raw path only where it says more, an opaque part, and no userinfo."""
    scheme = {"scheme": "https"} if text.startswith("https") else {}
    assert msgspec.to_builtins(url_parts(text)) == msgspec.to_builtins(Url()) | scheme | parts


@given(st.text() | st.text("htps:/?#@[]%a1. "))
@settings(deadline=None)
def test_every_url_is_taken_apart(text: str) -> None:
    """Whatever text the reader takes for a URL can be taken apart."""
    try:
        url = read_url(text)
    except ValueError:
        return
    assert isinstance(url_parts(url), Url)
