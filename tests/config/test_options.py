"""The catalogue is whole: what is declared can be read, is unique, and drives exactly the settings there are."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from typing import get_type_hints

import pytest

from collector.config.flags import add_flags
from collector.config.loading import load
from collector.config.options import OPTIONS, Option, read_catalogue
from collector.config.settings import Settings
from collector.config.values import FORMATS


def test_settings_and_options_derive_from_each_other() -> None:
    """Every attribute of Settings is filled by one option, and no two fill the same."""
    filled = [option.setting for option in OPTIONS if option.setting]

    assert sorted(filled) == sorted(field.name for field in fields(Settings))


def test_values_have_the_types_that_settings_promise() -> None:
    """What the readers return is what the attribute's annotation says."""
    settings = load({}, {}).settings
    for name, hint in get_type_hints(Settings).items():
        expected = getattr(hint, "__origin__", hint)
        assert type(getattr(settings, name)) is expected or isinstance(getattr(settings, name), expected), name


@pytest.mark.parametrize(
    "key",
    [
        lambda option: option.name,
        lambda option: option.env,
        lambda option: option.flag,
        lambda option: option.shorthand,
        lambda option: option.yaml_path,
        lambda option: option.setting,
    ],
    ids=["name", "env", "flag", "shorthand", "yaml path", "setting"],
)
def test_nothing_names_two_options(key: Callable[[Option], str]) -> None:
    """Two options never share a name of any kind."""
    assert [name for name, times in Counter(map(key, OPTIONS)).items() if name and times > 1] == []


def test_no_option_is_also_a_group_of_the_yaml_file() -> None:
    """A YAML path is either an option or a mapping of options, never both."""
    paths = [option.yaml_path for option in OPTIONS if option.yaml]
    assert [(outer, inner) for outer in paths for inner in paths if inner.startswith(f"{outer}.")] == []


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.label)
def test_descriptions_are_sentences(option: Option) -> None:
    """A description begins with a capital or a digit and ends with a full stop."""
    assert option.description[0].isupper()
    assert option.description.endswith(".")


def test_formats_are_known() -> None:
    """Every format that the catalogue asks for exists, and every one that exists is asked for."""
    assert {option.format for option in OPTIONS if option.format} == set(FORMATS)


def test_an_inert_option_needs_no_code() -> None:
    """An option that is data alone gets a flag, is read and checked, and fills no setting."""
    inert = read_catalogue(
        """
        [groups."Introspection"]
        yaml = "introspection"
        [groups."Introspection > Tracing"]
        yaml = "tracing"
        [[options]]
        name = "Trace Honeycomb API Key"
        description = "A key."
        type = "string"
        env = "CODER_TRACE_HONEYCOMB_API_KEY"
        flag = "trace-honeycomb-api-key"
        yaml = "honeycombKey"
        group = "Introspection > Tracing"
        secret = true
        hidden = true
        """
    )
    parser = argparse.ArgumentParser()
    add_flags(parser, inert)
    loaded = load(parser.parse_args(["--trace-honeycomb-api-key", "abc"]), {}, (*OPTIONS, *inert))

    assert inert[0].yaml_path == "introspection.tracing.honeycombKey"
    assert loaded.source("Trace Honeycomb API Key") == "flag"
    assert "honeycomb" not in parser.format_help()


@pytest.mark.parametrize(
    ("env", "name", "flag", "yaml_path", "default"),
    [
        ("CODER_HTTP_ADDRESS", "HTTP Address", "http-address", "networking.http.httpAddress", "127.0.0.1:3000"),
        ("CODER_ACCESS_URL", "Access URL", "access-url", "networking.accessURL", ""),
        ("CODER_PROMETHEUS_ENABLE", "Prometheus Enable", "prometheus-enable", "introspection.prometheus.enable", "true"),
        ("CODER_TLS_CERT_FILE", "TLS Certificate Files", "tls-cert-file", "networking.tls.certFiles", ""),
        ("CODER_LOGGING_HUMAN", "Human Log Location", "log-human", "introspection.logging.humanPath", "/dev/stderr"),
        ("CODER_PG_CONNECTION_URL", "Postgres Connection URL", "postgres-url", "", ""),
        ("CODER_API_RATE_LIMIT", "API Rate Limit", "api-rate-limit", "", "512"),
        ("COLLECTOR_CSP_HOURS_RETENTION", "CSP Hours Retention", "csp-hours-retention", "collector.cspHoursRetention", "90d"),
    ],
)
def test_names_are_those_of_the_catalogue(env: str, name: str, flag: str, yaml_path: str, default: str) -> None:
    """An operator of Coder finds the names known from there."""
    (option,) = [option for option in OPTIONS if option.env == env]
    assert (option.name, option.flag, option.yaml_path, option.default) == (name, flag, yaml_path, default)
