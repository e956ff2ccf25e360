"""The systemd units, as systemd itself reads them."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

from collector.cli.listen import LISTENERS
from collector.config.options import OPTIONS
from tests.requirements import program
from tests.service import ROOT

UNITS = ROOT / "deploy/systemd"


def unit(name: str) -> configparser.ConfigParser:
    """A unit file; of a setting that is there more than once the last."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign] # their case matters
    parser.read(UNITS / name)
    return parser


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """Nothing in them is unknown or misspelt, and what they name of each other is there."""
    verify = program("systemd-analyze")
    shutil.copytree(UNITS, tmp_path, dirs_exist_ok=True)
    service = tmp_path / "collector.service"
    service.write_text(service.read_text().replace("/opt/collector/bin/collector", "/bin/true"))  # which is installed

    judged = subprocess.run([verify, "verify", *tmp_path.iterdir()], capture_output=True, text=True, check=False)

    assert (judged.returncode, judged.stderr) == (0, "")


def test_the_service_is_shut_in(tmp_path: Path) -> None:
    """By systemd's own measure little is left that it could do to the machine: at most 1.5 of 10."""
    analyze = program("systemd-analyze")
    shutil.copytree(UNITS, tmp_path, dirs_exist_ok=True)

    judged = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=15", tmp_path / "collector.service"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert judged.returncode == 0, judged.stdout[-500:]


def test_sockets_are_what_the_service_expects() -> None:
    """Each socket has a name that a listener goes by, that listener's address, and starts this service."""
    default = {option.env: option.default for option in OPTIONS}
    sockets = [unit(path.name) for path in sorted(UNITS.glob("*.socket"))]

    named = {each["Socket"]["FileDescriptorName"]: each["Socket"]["ListenStream"] for each in sockets}
    assert named == {"http": default["CODER_HTTP_ADDRESS"], "prometheus": default["CODER_PROMETHEUS_ADDRESS"]}
    assert set(named) < set(LISTENERS)
    assert [each["Socket"].get("Service", "collector.service") for each in sockets] == ["collector.service"] * 2


def test_what_is_accepted_has_time_to_be_stored() -> None:
    """A stop may take longer than the service needs by default."""
    (timeout,) = [option.default for option in OPTIONS if option.env == "COLLECTOR_SHUTDOWN_TIMEOUT"]

    assert int(unit("collector.service")["Service"]["TimeoutStopSec"].removesuffix("s")) > 2 * int(timeout.removesuffix("s"))
