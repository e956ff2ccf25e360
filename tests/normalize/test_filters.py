"""Noise is named where it is noise, and nowhere else."""

from __future__ import annotations

import pytest

from collector.normalize.filters import SHIPPED
from collector.normalize.noise import RULES, Rule
from collector.wire.records import NoiseClass

SITE = "https://shop.example/cart"
SCHEMES = sorted(
    {
        (place, scheme, rule.name)
        for rule in RULES
        if rule.directive is None and rule.name != "browser-scheme"
        for place in rule.where
        for scheme in rule.schemes
    }
)


def judged(
    blocked: str = "inline",
    source: str | None = None,
    document: str = SITE,
    sample: str | None = None,
    directive: str = "script-src",
) -> Rule | None:
    """The rule of a report on the shop's page."""
    return SHIPPED.rule(blocked=blocked, source=source, document=document, sample=sample, directive=directive)


def named(rule: Rule | None) -> NoiseClass | None:
    """The class that a rule gives."""
    return None if rule is None else rule.noise_class


def test_rule_names_are_unique() -> None:
    """A rule's name is stored with a violation and must say which rule it was."""
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(("place", "scheme", "name"), SCHEMES)
def test_a_scheme_is_noise_bare_with_colon_and_in_full(place: str, scheme: str, name: str) -> None:
    """Browsers cut foreign schemes in three ways; all three are found, at each place that the rule looks at."""
    for raw in (scheme, f"{scheme}:", f"{scheme}://4f9c/x.js", f"{scheme.upper()}://4f9c/x.js"):
        rule = judged(**{place: raw})
        assert rule is not None, raw
        assert rule.name == name, raw


def test_the_browsers_own_pages() -> None:
    """A blocked chrome: is the browser's, a script from chrome: is an add-on's, an error page is known by its data URL."""
    assert named(judged(blocked="chrome")) == NoiseClass.BROWSER_INTERNAL
    assert named(judged(source="chrome://toolbar-4f9c/content/x.js")) == NoiseClass.BROWSER_EXTENSION
    assert named(judged(blocked="data:text/html,chromewebdata")) == NoiseClass.BROWSER_INTERNAL
    assert named(judged(document="about:blank")) == NoiseClass.BROWSER_INTERNAL
    assert named(judged(blocked="about", directive="base-uri")) == NoiseClass.BROWSER_BUG


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("kaspersky-labs.com", NoiseClass.SECURITY_SOFTWARE),
        ("gc.kis.v2.scr.kaspersky-labs.com", NoiseClass.SECURITY_SOFTWARE),
        ("GATEWAY.zscalertwo.net:443", NoiseClass.SECURITY_SOFTWARE),
        ("www.superfish.com", NoiseClass.INJECTED_ADWARE),
        ("www.superfish.com.", NoiseClass.INJECTED_ADWARE),
        ("savingsslider-a.akamaihd.net", NoiseClass.INJECTED_ADWARE),
        ("getpocket.com", NoiseClass.BOOKMARKLET),
        ("translate.googleapis.com", NoiseClass.TRANSLATOR),
        ("proxy.id.swg.umbrella.com", NoiseClass.SECURITY_SOFTWARE),
        ("gnar.grammarly.com", NoiseClass.BROWSER_EXTENSION),
        ("track.uc.cn:9081", NoiseClass.APP_WEBVIEW),
        ("__wvjb_queue_message__", NoiseClass.APP_WEBVIEW),
        ("d3lvr7yuk4uaui.cloudfront.net", NoiseClass.INJECTED_ADWARE),
        ("mykaspersky-labs.com", None),
        ("kaspersky-labs.com.example", None),
        ("kaspersky-labs.company", None),
        ("akamaihd.net", None),
        ("cloudfront.net", None),
        ("js.grammarly.com", None),  # what sites embed
        ("uc.cn", None),
        ("babylonjs.com", None),
        ("fonts.gstatic.com", None),
        ("connect.facebook.net", None),
        ("assets.pinterest.com", None),
        ("googleapis.com", None),
        ("shop.example", None),
    ],
)
def test_hosts_match_on_label_borders(host: str, expected: NoiseClass | None) -> None:
    """A listed host and its subdomains are noise, blocked or as source, also without a scheme; lookalikes are not."""
    assert named(judged(blocked=f"https://{host}/x.js")) == expected
    assert named(judged(source=f"http://{host}/x.js")) == expected
    if "." in host:
        assert named(judged(blocked=host)) == expected


@pytest.mark.parametrize(
    ("blocked", "expected"),
    [
        ("https://www.gstatic.com/images/branding/product/2x/translate_24dp.png", NoiseClass.TRANSLATOR),
        ("https://www.gstatic.com/images/branding/product/2x/maps_24dp.png", None),
        ("https://assets.pinterest.com/ext/cr.js?1", NoiseClass.BROWSER_EXTENSION),
        ("https://assets.pinterest.com/js/pinit.js", None),
        ("https://connect.facebook.net/en_US/pcm.js", NoiseClass.APP_WEBVIEW),
        ("https://connect.facebook.net/en_US/fbevents.js", None),
        ("http://1.1.1.1/bmi/shop.example/logo.png", NoiseClass.INJECTED_ADWARE),
        ("https://1.1.1.1/cdn-cgi/trace", None),
        ("https://shop.example/out?to=https://connect.facebook.net/en_US/pcm.js", None),
        ("https://shop.example/out?to=/addons/lnkr.js", None),
        ("https://evil.example/www.gstatic.com/_/translate_http/_/js", None),
    ],
)
def test_of_hosts_that_sites_use_only_the_injected_is_noise(blocked: str, expected: NoiseClass | None) -> None:
    """Where sites load from the same host, the path tells what the site itself would never ask for."""
    assert named(judged(blocked=blocked)) == expected


def test_a_maker_of_such_software_has_a_site_too() -> None:
    """On the listed company's own pages its own hosts are no noise."""
    assert judged(blocked="https://static.avast.com/x.js", document="https://www.avast.com/") is None
    assert named(judged(blocked="https://static.avast.com/x.js")) == NoiseClass.SECURITY_SOFTWARE


def test_a_translated_page_is_the_translators() -> None:
    """What a translator's copy of the page blocks is not the site's fault."""
    assert named(judged(document="https://shop-example.translate.goog/cart")) == NoiseClass.TRANSLATOR


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ("var lastpass_iter=1;", NoiseClass.BROWSER_EXTENSION),
        (";(function installGlobalHook(window) {", NoiseClass.BROWSER_EXTENSION),
        ("AG_onLoad=function(func){", NoiseClass.SECURITY_SOFTWARE),
        ("try{AG_abortInlineScript(/a/,'b')", NoiseClass.SECURITY_SOFTWARE),
        ("Object.defineProperty(window, 'ysmm', {", NoiseClass.BROWSER_EXTENSION),
        ("_pcmBridgeCallbackHandler({})", NoiseClass.APP_WEBVIEW),
        (";undefined", NoiseClass.BROWSER_BUG),
        ("call to eval() or related function blo", None),
        ("var x = undefined;undefined", None),
        ("window.dataLayer = window.dataLayer || []", None),
    ],
)
def test_samples(sample: str, expected: NoiseClass | None) -> None:
    """Injected code is known by what it calls itself; ordinary code is not."""
    assert named(judged(sample=sample)) == expected


@pytest.mark.parametrize(
    "blocked", ["data", "blob", "filesystem", "mediastream", "https", "wss", "myapp", "null", "", "self", "eval"]
)
def test_what_a_site_may_use_is_no_noise(blocked: str) -> None:
    """Schemes that pages load from, and schemes that nobody listed, are the site's to decide."""
    assert judged(blocked=blocked) is None


def test_local_development_is_no_noise_by_default() -> None:
    """Developers look for the reports of their own machine."""
    assert judged(blocked="http://localhost:3000/x.js", document="http://127.0.0.1:8080/") is None


def test_the_first_rule_of_the_table_names_the_report() -> None:
    """An extension that loads adware is an extension."""
    assert named(judged(blocked="https://www.superfish.com/x", source="moz-extension")) == NoiseClass.BROWSER_EXTENSION
