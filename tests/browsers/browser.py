"""Real browsers without a window, with a fresh profile each, that can reach nothing but loopback."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.requirements import program

# No service of the vendor, and no name that resolves: an address on loopback is all it can open.
CHROMIUM_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # it refuses to run as root with one
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",  # containers give little of it
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-breakpad",
    "--metrics-recording-only",
    "--short-reporting-delay",  # what report-to sends goes out within 0.1 s instead of a minute
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)

# A proxy that nobody runs stands before all but loopback, so that whatever the other switches miss goes nowhere.
FIREFOX_PREFERENCES: dict[str, bool | int | str] = {
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "network.proxy.no_proxies_on": "127.0.0.1",
    "network.proxy.failover_direct": False,  # else the browser's own requests go around a proxy that is down
    "network.proxy.allow_bypass": False,
    "network.dns.disabled": True,  # an address on loopback needs no name
    "network.trr.mode": 5,  # no DNS over HTTPS
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.disablePrefetch": True,
    "network.prefetch-next": False,
    "app.normandy.enabled": False,
    "app.update.auto": False,
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.newtabpage.enabled": False,
    "browser.region.update.enabled": False,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.search.update": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.healthreport.uploadEnabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.push.connection.enabled": False,
    "extensions.getAddons.cache.enabled": False,
    "extensions.systemAddon.update.enabled": False,
    "extensions.update.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    "messaging-system.rsexperimentloader.enabled": False,
    "security.OCSP.enabled": 0,
    "services.settings.server": "http://127.0.0.1:9/",
    "toolkit.telemetry.enabled": False,
    "toolkit.telemetry.server": "",
    "toolkit.telemetry.unified": False,
}


def chromium(profile: Path, url: str) -> list[str]:
    """The command that opens ``url`` in Chromium."""
    return ["chromium", *CHROMIUM_FLAGS, f"--user-data-dir={profile}", url]


def firefox(profile: Path, url: str) -> list[str]:
    """The command that opens ``url`` in Firefox, whose profile is written first."""
    profile.mkdir(parents=True, exist_ok=True)
    lines = (f"user_pref({_quoted(name)}, {_quoted(value)});\n" for name, value in FIREFOX_PREFERENCES.items())
    (profile / "user.js").write_text("".join(lines))
    return ["firefox-esr", "-headless", "--no-remote", "--profile", str(profile), url]


BROWSERS = {"chromium": chromium, "firefox-esr": firefox}  # by the name of the program


def _trusted_by(directory: Path, name: str) -> Path:
    """Where the browser ``name`` looks for authorities beside those it comes with, when ``directory`` is its home."""
    return directory / "profile" if name == "firefox-esr" else directory / ".pki" / "nssdb"


def _trust(database: Path, authority: Path) -> None:
    database.mkdir(parents=True, exist_ok=True)
    at = [program("certutil"), "-d", f"sql:{database}"]
    for arguments in (["-N", "--empty-password"], ["-A", "-n", "authority", "-t", "C,,", "-i", str(authority)]):
        subprocess.run([*at, *arguments], check=True, capture_output=True, timeout=60)


@contextmanager
def opened(name: str, url: str, authority: Path | None = None) -> Iterator[Path]:
    """Open ``url`` in the browser ``name`` while the block runs; gives the file that holds what the browser printed.

    The browser trusts what ``authority``, a certificate in PEM, has signed.
    """
    # Not pytest's directory: Chromium puts a socket below it, whose path may have 107 characters.
    with TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as temporary:
        directory = Path(temporary)
        command, log = BROWSERS[name](directory / "profile", url), directory / "browser.log"
        if authority is not None:
            _trust(_trusted_by(directory, name), authority)
        environment = {variable: value for variable, value in os.environ.items() if not variable.lower().endswith("_proxy")}
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env=environment | dict.fromkeys(("HOME", "TMPDIR", "XDG_RUNTIME_DIR"), temporary),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a browser is many processes: they end together, by their group
            )
        try:
            yield log
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def _quoted(value: bool | int | str) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()
