"""Every option of the catalogue, not a sample: by flag, by environment, by YAML, written and loaded again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.config.loading import Loaded, Source, load
from collector.config.options import OPTIONS, STRUCTURED, Option, OptionType
from collector.config.texts import shown_lines, yaml_text
from collector.wire.config import ExternalAuth
from collector.wire.errors import InvalidOption
from tests.config.samples import BESIDE, any_yaml, as_yaml, sample
from tests.config.test_loading import _flags
from tests.examples import examples

CODERS = [option for option in OPTIONS if not option.env.startswith("COLLECTOR_")]
IN_YAML = [option for option in OPTIONS if option.yaml]
SECRETS = [option for option in OPTIONS if option.secret]


def ids(option: Option) -> str:
    """What a test of one option is called."""
    return option.label


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Values by YAML path, as the mapping of mappings that stands in a file."""
    tree: dict[str, Any] = {}
    for path, value in values.items():
        *outer, leaf = path.split(".")
        node = tree
        for key in outer:
            node = node.setdefault(key, {})
        node[leaf] = value
    return tree


def from_yaml(file: Path, text: str, **env: str) -> Loaded:
    """What is loaded from a file with this text."""
    file.write_text(text, encoding="utf-8")
    return load({}, env | {"CODER_CONFIG_PATH": str(file)})


def test_the_catalogue_is_whole() -> None:
    """220 options of Coder in 34 groups with 205 paths, 13 of them secret, and ours in a group of their own."""
    groups = {option.groups[:depth] for option in CODERS for depth in range(1, len(option.groups) + 1)}

    assert (len(CODERS), len(groups), len({option.path for option in CODERS})) == (220, 34, 205)
    assert len([option for option in CODERS if option.secret]) == 13
    assert len([option for option in CODERS if option.yaml]) == 195
    assert len([option for option in CODERS if option.hidden]) == 35
    assert {option.groups[0].name for option in OPTIONS if option not in CODERS} == {"Collector"}


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.flag], ids=ids)
def test_each_is_set_by_its_flag(option: Option) -> None:
    """The long flag, and the short one where there is one, give the value with the source ``flag``."""
    text, value = sample(option)
    for flag in [f"--{option.flag}={text}"], [f"-{option.shorthand}", text] if option.shorthand else []:
        if flag:
            loaded = load(_flags(*flag), BESIDE.get(option.name, {}))

            assert (loaded.values[option.name], loaded.source(option.name)) == (value, Source.FLAG)


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.env], ids=ids)
def test_each_is_set_by_its_variable(option: Option) -> None:
    """The environment variable gives the value with the source ``env``; an empty one gives the default."""
    text, value = sample(option)
    loaded = load({}, BESIDE.get(option.name, {}) | {option.env: text})
    without = load({}, {option.env: ""})

    assert (loaded.values[option.name], loaded.source(option.name)) == (value, Source.ENV)
    assert without.source(option.name) in (Source.DEFAULT, Source.NONE)


@pytest.mark.parametrize("option", IN_YAML, ids=ids)
def test_each_is_set_in_the_file(option: Option, tmp_path: Path) -> None:
    """The key of the file gives the value with the source ``yaml``, a structure also as it is nested."""
    text, value = sample(option)
    forms = [as_yaml(option), *([json.loads(text)] if option.type in STRUCTURED else [])]
    for form in forms:
        content = yaml.safe_dump(nested({option.yaml_path: form}), allow_unicode=True)
        loaded = from_yaml(tmp_path / "options.yaml", content, **BESIDE.get(option.name, {}))

        assert (loaded.values[option.name], loaded.source(option.name)) == (value, Source.YAML)


def test_what_is_written_loads_back(tmp_path: Path) -> None:
    """With every option of the file set at once, the file that ``config write`` prints gives the same values again."""
    content = yaml.safe_dump(nested({option.yaml_path: as_yaml(option) for option in IN_YAML}))
    loaded = from_yaml(tmp_path / "options.yaml", content)
    again = from_yaml(tmp_path / "written.yaml", yaml_text(loaded))

    assert {option.name: again.values[option.name] for option in IN_YAML} == {o.name: loaded.values[o.name] for o in IN_YAML}
    assert {again.source(option.name) for option in IN_YAML} == {Source.YAML}


@given(data=st.data())
@settings(
    max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_whatever_is_written_loads_back(tmp_path: Path, data: st.DataObject) -> None:
    """Any texts, also hostile ones, in any options: what is written is one line an option and gives the same values."""
    chosen = data.draw(st.lists(st.sampled_from(IN_YAML), min_size=1, max_size=8, unique=True))
    content = yaml.safe_dump(nested({option.yaml_path: data.draw(any_yaml(option)) for option in chosen}), allow_unicode=True)
    try:
        loaded = from_yaml(tmp_path / "options.yaml", content)
    except InvalidOption:
        return  # a text that this option does not take, or that YAML does not
    again = from_yaml(tmp_path / "written.yaml", yaml_text(loaded))

    assert {option.name: again.values[option.name] for option in IN_YAML} == {o.name: loaded.values[o.name] for o in IN_YAML}
    assert all(line.isprintable() for line in shown_lines(loaded))


def test_defaults_written_load_back(tmp_path: Path) -> None:
    """The file of a service with nothing set gives the same settings."""
    loaded = load({}, {})

    assert from_yaml(tmp_path / "written.yaml", yaml_text(loaded)).settings == loaded.settings


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.use_instead and option.path], ids=ids)
def test_an_older_name_sets_the_newer(option: Option) -> None:
    """Options with one path share value and source, whichever is set; the newer name counts when both are."""
    twins = [other for other in OPTIONS if other.path == option.path and other is not option]
    if not twins:
        return  # replaced by options that mean something else
    (newer,) = twins
    text, value = sample(option)
    loaded = load({}, {option.env: text})
    assert (loaded.values[newer.name], loaded.source(newer.name)) == (value, Source.ENV)

    other = str(not value).lower() if option.type is OptionType.BOOL else "other"
    both = load({}, {newer.env: text, option.env: other})
    assert both.values[option.name] == both.values[newer.name] == value


def test_a_default_is_shared_too() -> None:
    """An older name without a default of its own shows the newer one's."""
    loaded = load({}, {})
    assert (loaded.values["Notifications: Email: Hello"], loaded.source("Notifications: Email: Hello")) == (
        "localhost",
        "default",
    )


def test_what_has_no_effect_is_said_once() -> None:
    """One line names all that is set without effect, also numbered providers; what acts is not among it."""
    env = {"CODER_OIDC_CLIENT_SECRET": "s3cret", "CODER_EXTERNAL_AUTH_0_TYPE": "github", "CODER_VERBOSE": "true"}
    (line,) = load({"derp-server-enable": ["false"]}, env).warnings

    assert line == (
        "set, but without effect in this service: CODER_DERP_SERVER_ENABLE, CODER_OIDC_CLIENT_SECRET, CODER_EXTERNAL_AUTH_…"
    )


def test_providers_come_numbered_from_the_environment() -> None:
    """Members by number, lists parted by blanks, after those of the file, the older prefix last, secrets not kept."""
    loaded = load(
        {"external-auth-providers": ["[{id: first}]"]},
        {
            "CODER_EXTERNAL_AUTH_10_ID": "eleventh",
            **{f"CODER_EXTERNAL_AUTH_{n}_ID": f"n{n}" for n in range(10)},
            "CODER_EXTERNAL_AUTH_0_CLIENT_SECRET": "s3cret",
            "CODER_EXTERNAL_AUTH_0_SCOPES": "repo workflow",
            "CODER_EXTERNAL_AUTH_0_NO_REFRESH": "true",
            "CODER_EXTERNAL_AUTH_1_TYPE": "",
            "CODER_GITAUTH_0_ID": "older",
        },
    )
    providers = loaded.values["External Auth Providers"]

    assert providers[1] == ExternalAuth(id="n0", scopes=("repo", "workflow"), no_refresh=True)
    assert [provider.id for provider in providers] == ["first", *(f"n{n}" for n in range(10)), "eleventh", "older"]
    assert "s3cret" not in repr(providers)


@pytest.mark.parametrize(
    ("env", "parts"),
    [
        ({"CODER_EXTERNAL_AUTH_1_ID": "x"}, ["CODER_EXTERNAL_AUTH_1", "CODER_EXTERNAL_AUTH_0", "gap"]),
        ({"CODER_EXTERNAL_AUTH_0_NO_REFRESH": "maybe"}, ["CODER_EXTERNAL_AUTH_0_NO_REFRESH", "neither true nor false"]),
        ({"CODER_SUPPORT_LINKS": "[{nam: x}]"}, ["CODER_SUPPORT_LINKS", "unknown field `nam`"]),
        ({"CODER_SUPPORT_LINKS": "[[[[[[x]]]]]]"}, ["CODER_SUPPORT_LINKS", "nested too deeply"]),
        ({"CODER_OIDC_GROUP_MAPPING": "{a: 1, a: 2}"}, ["CODER_OIDC_GROUP_MAPPING", "twice"]),
        ({"CODER_OIDC_GROUP_MAPPING": "{[a]: 1}"}, ["CODER_OIDC_GROUP_MAPPING", "a key that is no text"]),
        ({"CODER_OIDC_GROUP_MAPPING": "[a]"}, ["CODER_OIDC_GROUP_MAPPING", "map"]),
        ({"CODER_OIDC_ORGANIZATION_MAPPING": "{a: [b]}"}, ["CODER_OIDC_ORGANIZATION_MAPPING", "UUID"]),
        ({"CODER_OIDC_GROUP_REGEX_FILTER": "("}, ["CODER_OIDC_GROUP_REGEX_FILTER", "'('", "regular expression"]),
        ({"CODER_PG_AUTH": "kerberos"}, ["CODER_PG_AUTH", "'kerberos'", "password, awsiamrds"]),
        ({"CODER_PG_CONN_MAX_OPEN": "0"}, ["CODER_PG_CONN_MAX_OPEN", "less than 1"]),
        ({"CODER_PROVISIONER_TYPES": "terraform,pulumi"}, ["CODER_PROVISIONER_TYPES", "'pulumi'"]),
        ({"CODER_ACCESS_URL": "ftp://ada:s3cret@csp.example"}, ["CODER_ACCESS_URL", "'ftp://csp.example'"]),
    ],
)
def test_what_cannot_be_read_is_refused(env: dict[str, str], parts: list[str]) -> None:
    """One printable line names the option and what is wrong with the value."""
    with pytest.raises(InvalidOption) as caught:
        load({}, env)

    assert [part for part in parts if part not in caught.value.message] == []
    assert caught.value.message.isprintable()
    assert "s3cret" not in caught.value.message


def test_lifting_all_limits_shows_in_the_number() -> None:
    """As with Coder, the switch turns the number of requests into -1."""
    assert load({"dangerous-disable-rate-limits": ["true"]}, {}).settings.api_rate_limit == -1


@given(text=st.text() | st.text('{}[]:,"ab 0&*-\n'))
@settings(max_examples=examples(60), deadline=None)
@pytest.mark.parametrize("option", [option for option in OPTIONS if option.type in STRUCTURED], ids=ids)
def test_no_text_breaks_a_structure(option: Option, text: str) -> None:
    """Whatever the text, a structure is read or refused in one printable line."""
    try:
        load({option.flag: [text]}, {})
    except InvalidOption as error:
        message = error.message
    else:
        message = ""
    assert message == "" or message.isprintable()


def test_no_secret_stands_in_a_file() -> None:
    """A secret has no key in YAML: it cannot be written to a file that others read."""
    assert [option.name for option in SECRETS if option.yaml] == []


def test_the_older_address_is_that_of_what_is_served() -> None:
    """CODER_ADDRESS moves HTTPS when it is served, else plain HTTP; the sources stay those of what was said."""
    plain = load({"address": ["127.0.0.1:99"]}, {})
    assert (str(plain.settings.http_address), str(plain.settings.tls_address)) == ("127.0.0.1:99", "127.0.0.1:3443")
    assert plain.source("HTTP Address") is Source.DEFAULT
    assert not plain.warnings

    tls = {"CODER_TLS_ENABLE": "true", "CODER_TLS_CERT_FILE": "c.pem", "CODER_TLS_KEY_FILE": "k.pem"}
    secure = load({}, {**tls, "CODER_ADDRESS": "127.0.0.1:98", "CODER_HTTP_ADDRESS": "127.0.0.1:97"})
    assert (str(secure.settings.http_address), str(secure.settings.tls_address)) == ("127.0.0.1:97", "127.0.0.1:98")
