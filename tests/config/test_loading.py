"""Flag over environment over YAML over default; what cannot be read is refused in one line that names it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.config.flags import HelpAll, add_flags
from collector.config.loading import load
from collector.config.options import OPTIONS
from collector.config.values import HostPort
from collector.wire.config import Upstream
from collector.wire.errors import InvalidOption
from tests.examples import examples

HOME = {"HOME": "/home/ada"}
PASSWORD_URL = "postgresql://ada:s3cret@db.example:5432/collector"


def _flags(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return parser.parse_args(argv)


def _refusal(argv: Mapping[str, list[str]], env: Mapping[str, str]) -> str:
    with pytest.raises(InvalidOption) as caught:
        load(argv, env)
    assert caught.value.message.isprintable()
    return caught.value.message


@pytest.fixture
def yaml_file(tmp_path: Path) -> Path:
    """Where a test may put its options."""
    return tmp_path / "collector.yaml"


def test_defaults_stand_when_nothing_is_said() -> None:
    """An empty environment gives a service on loopback with SQLite below the home directory."""
    loaded = load({}, HOME)

    assert loaded.settings.http_address == HostPort("127.0.0.1", 3000)
    assert loaded.settings.prometheus_enable
    assert loaded.settings.agent_stat_refresh_interval == timedelta(seconds=30)
    assert loaded.settings.max_store_bytes == 10_000_000_000
    assert loaded.settings.csp_violation_retention == timedelta(days=400)
    assert loaded.settings.database_url == "sqlite:////home/ada/.local/share/collector/collector.db"
    assert loaded.source("HTTP Address") == "default"
    assert loaded.source("Access URL") == ""
    assert loaded.warnings == ()


def test_each_source_outranks_the_next(yaml_file: Path) -> None:
    """Flag > environment > YAML > default, and each option says which it was."""
    yaml_file.write_text("collector:\n  queueLimit: 1\n  submitTimeout: 1s\n  snapshotRetention: 1d\n")
    env = HOME | {"CODER_CONFIG_PATH": str(yaml_file), "COLLECTOR_QUEUE_LIMIT": "2", "COLLECTOR_SUBMIT_TIMEOUT": "2s"}

    loaded = load(_flags("--queue-limit", "3"), env)

    assert loaded.settings.queue_limit == 3
    assert loaded.settings.submit_timeout == timedelta(seconds=2)
    assert loaded.settings.snapshot_retention == timedelta(days=1)
    assert loaded.settings.shutdown_timeout == timedelta(seconds=15)
    names = ("Queue Limit", "Submit Timeout", "Snapshot Retention", "Shutdown Timeout")
    assert [loaded.source(name) for name in names] == ["flag", "env", "yaml", "default"]


def test_an_empty_variable_is_not_set() -> None:
    """An empty variable leaves the default in place; an empty flag is a value."""
    assert load({}, {"CODER_LOGGING_HUMAN": ""}).settings.logging_human == "/dev/stderr"
    assert load({"log-human": [""]}, {}).settings.logging_human == ""


def test_the_last_of_a_repeated_flag_counts() -> None:
    """A flag given twice is a correction."""
    assert load(_flags("--http-address", ":1", "--http-address", ":2"), {}).settings.http_address.port == 2


def test_bool_flags_need_no_value() -> None:
    """``-v`` and ``--tls-enable=false`` are both understood."""
    loaded = load(_flags("-v", "--prometheus-enable=false"), {})
    assert (loaded.settings.verbose, loaded.settings.prometheus_enable) == (True, False)


def test_lists_add_up() -> None:
    """A list has what the environment and each flag say, each a CSV record; the source is the flag."""
    argv = _flags("--proxy-trusted-origins", "172.16.0.0/12", "--proxy-trusted-origins", '"192.168.0.0/16",fd00::/8')
    loaded = load(argv, {"CODER_PROXY_TRUSTED_ORIGINS": "10.1.2.3/8"})

    assert loaded.settings.proxy_trusted_origins == ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8")
    assert loaded.source("Proxy Trusted Origins") == "flag"


def test_an_empty_flag_takes_back_the_list() -> None:
    """``--flag ''`` forgets what the environment said, and later flags start anew."""
    env = {"CODER_PROXY_TRUSTED_HEADERS": "x-real-ip"}
    assert load({"proxy-trusted-headers": [""]}, env).settings.proxy_trusted_headers == ()
    assert load({"proxy-trusted-headers": ["", "x-forwarded-for"]}, env).settings.proxy_trusted_headers == ("X-Forwarded-For",)


def test_yaml_keeps_texts_as_written(yaml_file: Path) -> None:
    """Lists, bools, numbers, durations and quoted texts; a key without a value says nothing; a list is not added to."""
    yaml_file.write_text(
        "networking:\n"
        "  http: {httpAddress: '[::1]:80'}\n"
        "  tls:\n    certFiles: [a.pem, 'b,c.pem']\n    keyFiles: a.key,b.key\n    minVersion: TLS13\n"
        "  proxyTrustedOrigins:\n"
        "introspection:\n  prometheus:\n    enable: false\n"
        "collector:\n  cspHoursRetention: 1w2d\n  maxStoreBytes: 2GiB\n"
    )
    loaded = load({"config": [str(yaml_file)]}, {"CODER_PROXY_TRUSTED_ORIGINS": "10.0.0.0/8"})

    assert loaded.settings.http_address == HostPort("::1", 80)
    assert loaded.settings.tls_cert_files == ("a.pem", "b,c.pem")
    assert loaded.settings.tls_key_files == ("a.key", "b.key")
    assert loaded.settings.tls_min_version == "tls13"
    assert not loaded.settings.prometheus_enable
    assert loaded.settings.csp_hours_retention == timedelta(days=9)
    assert loaded.settings.max_store_bytes == 2 * 2**30
    assert loaded.source("Proxy Trusted Origins") == "env"


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (
            "networking:\n  http:\n    httpAdress: ':80'\n",
            ["line 3", "'networking.http.httpAdress'", "'networking.http.httpAddress'"],
        ),
        ("httpAddress: ':80'\n", ["line 1", "'httpAddress'", "'networking.http.httpAddress'"]),
        ("collector:\n  queueLimit: 1\n  queueLimit: 2\n", ["line 3", "'collector.queueLimit'", "twice"]),
        ("collector: 5\n", ["line 1", "'collector'", "mapping"]),
        ("- 1\n", ["line 1", "mapping"]),
        ("collector: {queueLimit: [1]}\n", ["collector.queueLimit", "one int"]),
        ("networking: {proxyTrustedHeaders: {a: b}}\n", ["networking.proxyTrustedHeaders", "list"]),
        ("collector: {queueLimit: 0}\n", ["COLLECTOR_QUEUE_LIMIT", "'0'", "line 1", "less than 1"]),
        ("a: 1\n---\nb: 2\n", ["line 2", "not YAML"]),
        ("a: [\n", ["not YAML"]),
        ("[" * 600, ["not YAML"]),
        ('a: "\\UFFFFFFFF"\n', ["not YAML"]),
        ("networking: &n {http: *n}\n", ["unknown option 'networking.http.http'"]),
        ("? [a]\n: b\n", ["unknown option"]),
    ],
)
def test_a_wrong_yaml_file_is_refused(yaml_file: Path, content: str, parts: list[str]) -> None:
    """The message names the file, the line and the key, and for an unknown key the nearest known one."""
    yaml_file.write_text(content)
    message = _refusal({}, {"CODER_CONFIG_PATH": str(yaml_file)})
    assert [part for part in [*parts, str(yaml_file)] if part not in message] == []


@pytest.mark.parametrize("content", [b"\xff\xfe", b"# " + b"x" * (1 << 20)])
def test_a_file_that_is_no_text_of_ours_is_refused(yaml_file: Path, content: bytes) -> None:
    """Neither another encoding nor a file beyond a mebibyte is read."""
    yaml_file.write_bytes(content)
    assert str(yaml_file) in _refusal({}, {"CODER_CONFIG_PATH": str(yaml_file)})


def test_a_missing_yaml_file_is_refused(yaml_file: Path) -> None:
    """A file that was asked for must be there."""
    assert "No such file" in _refusal({"config": [str(yaml_file)]}, {})


def test_a_syntax_error_quotes_nothing(yaml_file: Path) -> None:
    """The words around a syntax error may be a secret: they are not in the message."""
    yaml_file.write_text("collector:\n  adminTokenFile: *s3cret\n")
    message = _refusal({"config": [str(yaml_file)]}, {})
    assert "line 2" in message
    assert "s3cret" not in message


@pytest.mark.parametrize(
    ("argv", "env", "parts"),
    [
        ({"http-address": ["localhost"]}, {}, ["CODER_HTTP_ADDRESS", "'localhost'", "flag --http-address", "host:port"]),
        ({}, {"CODER_VERBOSE": "yes"}, ["CODER_VERBOSE", "'yes'", "environment"]),
        ({}, {"CODER_AGENT_STATS_REFRESH_INTERVAL": "0s"}, ["CODER_AGENT_STATS_REFRESH_INTERVAL", "'0s'", "less than 1ms"]),
        ({}, {"CODER_TLS_MIN_VERSION": "tls14"}, ["'tls14'", "tls10, tls11, tls12, tls13"]),
        ({}, {"CODER_PROXY_TRUSTED_ORIGINS": "10.0.0.0/8,::1"}, ["CODER_PROXY_TRUSTED_ORIGINS", "'::1'", "network"]),
        ({}, {"CODER_PROXY_TRUSTED_ORIGINS": '"10.0.0.0/8'}, ["CODER_PROXY_TRUSTED_ORIGINS", "comma-separated"]),
        ({}, {"CODER_PROXY_TRUSTED_HEADERS": "x real ip"}, ["'x real ip'", "header"]),
        ({}, {"CODER_ACCESS_URL": "csp.example"}, ["CODER_ACCESS_URL", "'csp.example'", "http://"]),
        ({"queue-limit": ["1\n\x1b[2J"]}, {}, ["COLLECTOR_QUEUE_LIMIT", r"1\n\x1b[2J"]),
        ({"data-dir": ["a%20b"]}, {}, ["COLLECTOR_DATA_DIR", "%"]),
        (
            {},
            {"COLLECTOR_CSP_HOURS_RETENTION": "24h"},
            ["COLLECTOR_CSP_HOURS_RETENTION (1d)", "COLLECTOR_CSP_MINUTES_RETENTION (2d)"],
        ),
        ({}, {"CODER_TLS_ENABLE": "1"}, ["CODER_TLS_CERT_FILE", "CODER_TLS_KEY_FILE"]),
        ({"tls-enable": ["t"], "tls-cert-file": ["a,b"], "tls-key-file": ["a"]}, {}, ["not 2 and 1"]),
        ({}, {"CODER_STRICT_TRANSPORT_SECURITY_OPTIONS": "preload,always"}, ["'always'", "includeSubDomains"]),
        ({}, {"CODER_PG_CONNECTION_URL": PASSWORD_URL, "CODER_PG_AUTH": "AWSIAMRDS"}, ["CODER_PG_AUTH", "a password"]),
        ({}, {"CODER_PG_CONN_MAX_IDLE": "0"}, ["CODER_PG_CONN_MAX_IDLE", "'0'", "neither auto nor a number from 1"]),
        ({}, {"CODER_PG_CONN_MAX_IDLE": "some"}, ["CODER_PG_CONN_MAX_IDLE", "'some'", "is not an integer"]),
        ({}, {"CODER_LOG_FILTER": "a,("}, ["CODER_LOG_FILTER", "'('", "is not a regular expression"]),
        ({"http-address": [""]}, {}, ["CODER_HTTP_ADDRESS", "CODER_TLS_ENABLE", "nothing would be served"]),
        ({"prometheus-address": [""]}, {}, ["CODER_PROMETHEUS_ADDRESS"]),
        ({}, {"CODER_PG_CONNECTION_URL": "sqlite:///s3cret.db"}, ["CODER_PG_CONNECTION_URL", "postgres://"]),
    ],
)
def test_a_refusal_names_option_source_and_value(argv: dict[str, list[str]], env: dict[str, str], parts: list[str]) -> None:
    """One printable line says which option, from where, with what value, and what is wrong; never a secret."""
    message = _refusal(argv, env)
    assert [part for part in parts if part not in message] == []
    assert "s3cret" not in message


def test_tls_alone_is_enough() -> None:
    """With a certificate and its key, plain HTTP may be off."""
    loaded = load(_flags("--tls-enable", "--tls-cert-file", "a.pem", "--tls-key-file", "a.key", "--http-address", ""), {})
    assert (loaded.settings.tls_enable, loaded.settings.http_enable) == (True, False)


def test_secrets_are_shown_nowhere() -> None:
    """Neither help, nor the settings' own text, nor a refusal holds the URL of the database."""
    loaded = load(_flags("--postgres-url", PASSWORD_URL), {})
    parser = argparse.ArgumentParser()
    add_flags(parser)

    assert loaded.settings.database_url == PASSWORD_URL
    assert "s3cret" not in repr(loaded)
    assert "CODER_PG_CONNECTION_URL" in parser.format_help()
    assert "s3cret" not in _refusal({"postgres-url": [PASSWORD_URL + "\0"]}, {})


def test_help_tells_groups_variables_and_defaults() -> None:
    """Every option that drives the service has its flag, variable and default under the heading of its group."""
    parser = argparse.ArgumentParser()
    add_flags(parser)
    text = " ".join(parser.format_help().split())

    assert "Networking / HTTP: --http-address string" in text
    acting = [option for option in OPTIONS if option.acts]
    assert [option.env for option in acting if f"${option.env}" not in text] == []
    assert [option.flag for option in acting if option.default and f"default {option.default}]" not in text] == []
    assert [option.env for option in OPTIONS if not option.acts and f"${option.env}" in text and option.env] == []


def test_help_all_tells_every_option(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """``--help-all`` has every flag with its variable, and marks those that have no effect here."""
    monkeypatch.setenv("COLUMNS", "200")  # no name is broken in two
    parser = argparse.ArgumentParser()
    parser.add_argument("--help-all", action=HelpAll, nargs=0)
    with pytest.raises(SystemExit):
        parser.parse_args(["--help-all"])
    text = " ".join(capsys.readouterr().out.split())

    assert [option.flag for option in OPTIONS if f"--{option.flag} " not in text or f"${option.env}" not in text] == []
    assert text.count("no effect here") == len([option for option in OPTIONS if not option.acts])


def test_a_misspelt_variable_is_warned_about() -> None:
    """A variable of ours that is none of ours is named, with the one that was probably meant; its value is not shown."""
    loaded = load({}, {"COLLECTOR_DATADIR": "s3cret", "CODER_URL": "https://coder.example"})
    assert loaded.warnings == ("'COLLECTOR_DATADIR' in the environment is not an option; did you mean COLLECTOR_DATA_DIR?",)


def test_an_emptied_variable_is_warned_about() -> None:
    """Whoever emptied a variable to turn something off reads how that is done, unless a flag has done it."""
    loaded = load({}, {"CODER_HTTP_ADDRESS": "", "CODER_TLS_ADDRESS": ""})
    assert loaded.warnings == ('CODER_HTTP_ADDRESS is empty, which counts as not set; to turn it off say --http-address=""',)
    assert loaded.settings.http_enable
    assert load({"log-human": [""]}, {"CODER_LOGGING_HUMAN": ""}).warnings == ()


def test_what_an_emptied_variable_is_told_to_do_turns_it_off(yaml_file: Path) -> None:
    """Both ways that help names work: an empty flag, and an empty text in YAML."""
    yaml_file.write_text("networking: {http: {httpAddress: ''}}\nintrospection: {logging: {humanPath: ''}}\n")
    tls = {"CODER_TLS_ENABLE": "true", "CODER_TLS_CERT_FILE": "a", "CODER_TLS_KEY_FILE": "b"}
    for loaded in (
        load(_flags("--http-address=", "--log-human="), tls),
        load({}, {**tls, "CODER_CONFIG_PATH": str(yaml_file)}),
    ):
        assert (loaded.settings.http_enable, loaded.settings.logging_human) == (False, "")


_KEYS = st.sampled_from(["networking", "http", "httpAddress", "tls", "certFiles", "collector", "queueLimit", "x", "<<"])
_TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(_KEYS, children, max_size=4),
    max_leaves=12,
)


@given(
    content=_TREES.map(lambda tree: yaml.safe_dump(tree).encode())
    | st.text('ab:-[]{}&*!|>\\"\n #%U0').map(str.encode)
    | st.binary()
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(60), deadline=None)
def test_no_yaml_file_breaks_the_loader(yaml_file: Path, content: bytes) -> None:
    """Whatever the file holds, it is taken or refused with one printable line."""
    yaml_file.write_bytes(content)
    try:
        load({"config": [str(yaml_file)]}, {})
    except InvalidOption as error:
        message = error.message
    else:
        message = ""
    assert message == "" or message.isprintable()


@given(
    argv=st.dictionaries(
        st.sampled_from([option.flag for option in OPTIONS if option.flag != "config"]), st.lists(st.text(), min_size=1)
    )
)
@settings(max_examples=examples(60), deadline=None)
def test_no_flag_breaks_the_loader(argv: dict[str, list[str]]) -> None:
    """Whatever the flags say, they are taken or refused with one printable line without the secret."""
    try:
        load(argv, {})
    except InvalidOption as error:
        message = error.message
    else:
        message = ""
    assert message == "" or message.isprintable()


def test_servers_to_ask_are_numbered_or_listed() -> None:
    """What the environment numbers follows what is listed, and is no unknown variable."""
    env = {
        "COLLECTOR_UPSTREAMS": "[{url: https://first.example, token_file: a}]",
        "COLLECTOR_UPSTREAM_0_URL": "http://127.0.0.1:3000/coder",
        "COLLECTOR_UPSTREAM_0_TOKEN_FILE": "b",
        "COLLECTOR_UPSTREAM_0_SOURCE": "upstream",
    }
    loaded = load({}, env)

    assert loaded.settings.upstreams == (
        Upstream(url="https://first.example", token_file="a"),
        Upstream(url="http://127.0.0.1:3000/coder", token_file="b", source="upstream"),
    )
    assert loaded.warnings == ()


@pytest.mark.parametrize(
    ("upstream", "words"),
    [
        ("{url: coder.example, token_file: a}", "url"),
        ("{url: 'https://ada:s3cret@coder.example', token_file: a}", "url"),
        ("{url: 'https://coder.example/?token=s3cret', token_file: a}", "url"),
        ("{url: 'https://[::1', token_file: a}", "url"),
        ("{url: https://coder.example}", "token_file"),
        ("{url: https://coder.example, token_file: a, source: guess}", "source"),
        ("{url: https://coder.example, token: s3cret}", "UPSTREAMS"),
    ],
)
def test_a_server_that_cannot_be_asked_is_refused(upstream: str, words: str) -> None:
    """The message names what is wrong, and repeats no secret."""
    with pytest.raises(InvalidOption) as refused:
        load({}, {"COLLECTOR_UPSTREAMS": f"[{upstream}]"})
    assert words in refused.value.message
    assert "s3cret" not in refused.value.message
