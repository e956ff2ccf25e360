"""What is wrong on the simulated sites, and what visitors bring along: a few dozen distinct violations, as a table."""

from __future__ import annotations

from typing import NamedTuple

SHOP, BLOG, DOCS = "https://shop.example", "https://blog.example", "https://docs.example:8443"
POLICY = (
    "default-src 'self'; script-src 'self' 'nonce-{nonce}' 'report-sample'; style-src 'self' 'report-sample'; img-src 'self';"
    " font-src 'self'; connect-src 'self'; frame-src 'none'; object-src 'none'; base-uri 'self'; form-action 'self'"
)


class Fault(NamedTuple):
    """One way to break a policy. ``weight`` says how common it is; ``engine`` is set when only one engine shows it."""

    directive: str
    blocked: str
    document: str
    weight: int = 10
    source: str | None = None
    line: int | None = None
    sample: str = ""
    enforced: bool = True  # else most of its reports come from a report-only policy
    engine: str | None = None  # chromium, firefox or webkit
    noise: bool = False


SITE_FAULTS = (
    Fault("script-src-elem", "https://tags.metrics.example/t.js?id=UA-77", f"{SHOP}/", 90),
    Fault("script-src-elem", "https://cdn.widgets.example/chat/loader.js", f"{SHOP}/cart", 60, enforced=False),
    Fault("script-src-elem", "https://cdn.widgets.example/player.js", f"{BLOG}/2026/launch", 25),
    Fault("script-src-elem", "https://pay.partner.example/v3/", f"{SHOP}/checkout?step=2", 30),
    Fault("script-src-elem", "http://old-cdn.example/jquery-1.8.3.min.js", f"{DOCS}/guide/", 12),
    Fault("script-src-elem", "inline", f"{SHOP}/", 70, f"{SHOP}/", 41, "window.dataLayer = window.dataLayer || []"),
    Fault("script-src-elem", "inline", f"{BLOG}/", 35, f"{BLOG}/", 12, "var theme = localStorage.getItem('theme'"),
    Fault("script-src-elem", "inline", f"{DOCS}/search?q=install", 15, f"{DOCS}/assets/search.js", 88, "window.SEARCH_INDEX="),
    Fault("script-src-attr", "inline", f"{SHOP}/product/4711", 40, f"{SHOP}/product/4711", 203, "addToCart(4711)"),
    Fault("script-src-attr", "inline", f"{BLOG}/archive", 10, f"{BLOG}/archive", 77, "return toggle(this)"),
    Fault("script-src-elem", "blob", f"{DOCS}/playground", 6, f"{DOCS}/assets/playground.js", 19),
    Fault("script-src", "eval", f"{SHOP}/cart", 30, f"{SHOP}/assets/vendor.js", 1, "return this"),
    Fault("script-src", "eval", f"{DOCS}/playground", 12, f"{DOCS}/assets/template.js", 310, "with(this){return _c('div')}"),
    Fault("script-src", "wasm-eval", f"{DOCS}/playground", 5, f"{DOCS}/assets/engine.js", 7, enforced=False),
    Fault("style-src-elem", "https://fonts.types.example/css2?family=Inter", f"{SHOP}/", 80),
    Fault("style-src-elem", "https://fonts.types.example/css2?family=Lora", f"{BLOG}/", 30, enforced=False),
    Fault("style-src-elem", "inline", f"{SHOP}/", 45, f"{SHOP}/assets/app.js", 1, ".modal-open{overflow:hidden}"),
    Fault("style-src-elem", "inline", f"{DOCS}/guide/", 14, f"{DOCS}/assets/highlight.js", 52, "pre code{display:block}"),
    Fault("style-src-attr", "inline", f"{SHOP}/product/4711", 65, f"{SHOP}/product/4711", 188, "display:none"),
    Fault("style-src-attr", "inline", f"{BLOG}/2026/launch", 28, f"{BLOG}/2026/launch", 64, "width: 640px"),
    Fault("img-src", "https://pixel.metrics.example/p.gif?u=8f3e&e=jo%40shop.example", f"{SHOP}/", 85, enforced=False),
    Fault("img-src", "https://images.partner.example/banner/300x250.webp", f"{BLOG}/", 40),
    Fault("img-src", "data", f"{SHOP}/product/4711", 38, f"{SHOP}/assets/app.js", 2),
    Fault("img-src", "blob", f"{SHOP}/account/avatar", 7, f"{SHOP}/assets/avatar.js", 33),
    Fault("font-src", "https://static.types.example/inter/v12/a.woff2", f"{SHOP}/", 75),
    Fault("font-src", "data", f"{BLOG}/", 22),
    Fault("connect-src", "https://collect.metrics.example/v1/batch?token=s3cr3t", f"{SHOP}/", 60, f"{SHOP}/assets/app.js", 4),
    Fault("connect-src", "wss://live.widgets.example/socket", f"{SHOP}/cart", 18, f"{SHOP}/assets/chat.js", 9),
    Fault(
        "connect-src", "https://api.shop.example/prices", f"{SHOP}/product/4711", 20, f"{SHOP}/assets/app.js", 6, enforced=False
    ),
    Fault("frame-src", "https://video.widgets.example", f"{BLOG}/2026/launch", 26),
    Fault("frame-src", "https://pay.partner.example", f"{SHOP}/checkout?step=2", 16),
    Fault("frame-ancestors", "https://mirror.example", f"{SHOP}/", 4),
    Fault("media-src", "https://video.widgets.example/launch.mp4", f"{BLOG}/2026/launch", 9),
    Fault("object-src", "https://old-cdn.example/brochure.pdf", f"{DOCS}/guide/", 3),
    Fault("worker-src", "blob", f"{DOCS}/playground", 8, f"{DOCS}/assets/playground.js", 41, enforced=False),
    Fault("manifest-src", "https://cdn.widgets.example/site.webmanifest", f"{SHOP}/", 5),
    Fault("base-uri", "https://mirror.example/", f"{DOCS}/guide/", 2),
    Fault("form-action", "https://lists.partner.example/subscribe", f"{BLOG}/", 11),
    Fault("require-trusted-types-for", "trusted-types-sink", f"{SHOP}/cart", 9, f"{SHOP}/assets/vendor.js", 1, enforced=False),
)

# What a visitor's machine adds to a page by itself: extensions, the bridges of apps with a web view, adware, virus scanners.
NOISE = (
    Fault(
        "script-src-elem",
        "inline",
        f"{SHOP}/",
        22,
        "chrome-extension://cgfnjolkhpebadmeiolbkdhpcnkiafjd/content.js",
        1,
        "(function(){var s=document.createElement(",
        engine="chromium",
        noise=True,
    ),
    Fault("script-src", "eval", f"{SHOP}/cart", 9, "chrome-extension", 3, engine="chromium", noise=True),
    Fault("font-src", "chrome-extension", f"{BLOG}/", 11, engine="chromium", noise=True),
    Fault(
        "style-src-elem", "inline", f"{SHOP}/", 14, "moz-extension", 8, ".dark-mode *{color:#eee}", engine="firefox", noise=True
    ),
    Fault("img-src", "moz-extension", f"{BLOG}/", 8, engine="firefox", noise=True),
    Fault("script-src-elem", "safari-web-extension", f"{SHOP}/", 9, engine="webkit", noise=True),
    Fault("frame-src", "webviewprogressproxy", f"{SHOP}/", 7, engine="webkit", noise=True),
    Fault("media-src", "android-webview-video-poster", f"{BLOG}/2026/launch", 5, engine="chromium", noise=True),
    Fault("script-src-elem", "https://cdncache-a.akamaihd.net/loaders/1032/l.js?pid=2449", f"{SHOP}/", 12, noise=True),
    Fault("img-src", "https://www.superfish.com/ws/co/pixel.gif?u=9a1", f"{SHOP}/cart", 5, noise=True),
    Fault("script-src-elem", "https://gc.kaspersky-labs.com/FD126C42/main.js", f"{BLOG}/", 8, noise=True),
)

FAULTS = SITE_FAULTS + NOISE
