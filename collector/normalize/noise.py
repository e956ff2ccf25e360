"""The noise rules: what reports come from when they are no fault of the site. Data only; ``filters.py`` applies it.

Order is rank: of all rules that fit a report the first one names it. Add a rule here and nothing else changes.
"""

from __future__ import annotations

import enum

import msgspec

from collector.wire.records import NoiseClass


class Place(enum.StrEnum):
    """Where in a report a rule looks."""

    BLOCKED = "blocked"
    SOURCE = "source"
    DOCUMENT = "document"


EVERYWHERE = frozenset(Place)
NOT_DOCUMENT = frozenset({Place.BLOCKED, Place.SOURCE})


class Rule(msgspec.Struct, frozen=True, gc=False):
    """One named rule; it fits when any of its patterns does.

    ``schemes`` are without colon. ``hosts`` fit the host and its subdomains, ``endings`` the end of the host's text.
    ``prefixes`` fit the start of the URI, ``paths`` anything in it before its query and ``parts`` anything in it, all in lower
    case. ``samples`` is a regular expression searched in the script sample. With ``directive`` the rule is about that directive
    only. A rule that ``spares_makers`` does not fit where a page of one of its hosts loads from them.
    """

    name: str
    noise_class: NoiseClass
    schemes: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    endings: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    samples: str | None = None
    directive: str | None = None
    where: frozenset[Place] = EVERYWHERE
    spares_makers: bool = True
    enabled: bool = True


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _below(text: str) -> tuple[str, ...]:
    """Prefixes for places on the web. Their hosts are at the start, where nobody else can put them."""
    return tuple(f"{scheme}://{place}" for place in text.split() for scheme in ("https", "http"))


RULES: tuple[Rule, ...] = (
    # ── Schemes ────────────────────────────────────────────────────────────────────────────────────────────────────
    Rule(
        "firefox-base-uri-about",  # fixed in Firefox 49: https://bugzilla.mozilla.org/show_bug.cgi?id=1263286
        NoiseClass.BROWSER_BUG,
        schemes=_words("about"),
        directive="base-uri",
        where=frozenset({Place.BLOCKED}),
    ),
    Rule(
        "view-source",  # Firefox applies the page's policy to its own view of the source: https://bugzil.la/1873553
        NoiseClass.BROWSER_BUG,
        schemes=_words("view-source"),
    ),
    Rule(
        "extension-scheme",
        NoiseClass.BROWSER_EXTENSION,
        schemes=_words(
            "chrome-extension chrome-extension-resource moz-extension safari-extension safari-web-extension "
            "ms-browser-extension edge-extension opera-extension se-extension webkit-extension extension extensions resource "
            "jar mxaddon-pkg symres user-script userscript webkit-masked-url"
        ),
        # What an extension makes of data of its own, as browsers sent it before they cut such URLs to the scheme.
        prefixes=(
            "blob:chrome-extension:",
            "blob:moz-extension:",
            "blob:safari-web-extension:",
            "blob:resource:",
            "filesystem:chrome-extension:",
        ),
    ),
    Rule(
        # Pages of the browser itself are never the source of a script on a site; add-ons of the old kind are.
        "chrome-source",
        NoiseClass.BROWSER_EXTENSION,
        schemes=_words("chrome"),
        where=frozenset({Place.SOURCE}),
    ),
    Rule(
        "browser-scheme",
        NoiseClass.BROWSER_INTERNAL,
        schemes=_words(
            "about chrome chromenull chromeinvoke chromeinvokeimmediate crwebnull crwebinvoke crwebinvokeimmediate "
            "chrome-error chrome-search chrome-native chrome-untrusted chrome-distiller chrome-devtools devtools "
            "edge read microsoft-edge brave vivaldi opera yabrowser duck res none safari-resource moz-safe-about "
            "moz-page-thumb moz-anno moz-icon moz-nullprincipal cached-favicon page-icon wyciwyg webkit-fake-url "
            "x-apple-ql-id x-apple-content-filter"
        ),
    ),
    Rule("browser-error-page", NoiseClass.BROWSER_INTERNAL, prefixes=("data:text/html,chromewebdata",)),
    Rule(
        "webview-scheme",
        NoiseClass.APP_WEBVIEW,
        schemes=_words(
            "android-webview android-webview-video-poster webviewprogress webviewprogressproxy wvjbscheme "
            "webviewjavascriptbridge jsbridge jockey gap gap-iab iabjs ionic capacitor cdvfile applewebdata android-app asset "
            "ms-appx ms-appx-web ms-appdata mbinit mx mxjscall mxwebcore tmtbff gsa sraf nikkomsgchannel "
            "nativebaiduhd bdvideo baiduboxapp baiduboxlite sinaweibo weixin weixinping mqqapi "
            "mttbrowser ucbrowser ucweb bytedance sslocal snssdk yy jsb dsbridge content qrc app tauri ms-local-stream"
        ),
        prefixes=("file:///android_asset/", "file:///android_res/"),
    ),
    Rule(
        # What apps run in every page that is opened in them, and message channels that have the names of hosts.
        "webview-script",
        NoiseClass.APP_WEBVIEW,
        hosts=_words("nikkomsgchannel __bridge_loaded__ __wvjb_queue_message__"),
        prefixes=_below("connect.facebook.net/en_us/pcm.js"),
        paths=("/iab.autofill.",),
        where=NOT_DOCUMENT,
    ),
    # ── Hosts ──────────────────────────────────────────────────────────────────────────────────────────────────────
    Rule(
        "security-host",
        NoiseClass.SECURITY_SOFTWARE,
        hosts=_words(
            "kaspersky-labs.com injections.adguard.com injections.adguard.org local.adguard.com local.adguard.org "
            "avast.com avg.com avira.com bitdefender.com bitdefender.net eset.com drweb.com siteadvisor.com "
            "safeweb.norton.com passpack.com zscaler.net zscalerone.net zscalertwo.net zscalerthree.net zscloud.net "
            "zscalerbeta.net zscalergov.net goskope.com menlosecurity.com sophosxl.net trusteer.com "
            "opendns.com swg.umbrella.com scansafe.net websense.com websense.net blackspider.com forcepoint.net bluecoat.com "
            "iboss.com lightspeedsystems.com securly.com goguardian.com netsweeper.com mbamupdates.com fortiguard.com "
            "cudasvc.com familyzone.com linewize.net blocksi.net qustodio.com netnanny.com mobicip.com covenanteyes.com "
            "k9webprotection.com threatpulse.net webadvisor.mcafee.com truekey.com sp.f-secure.com block.malwarebytes.com "
            "avcdn.net splash-screen.net"
        ),
        where=NOT_DOCUMENT,
    ),
    Rule(
        # Bitdefender serves its script under the site's own origin; Websense, McAfee's gateway and FortiGate send to a page of
        # their own on whatever address they have.
        "security-script",
        NoiseClass.SECURITY_SOFTWARE,
        paths=("/netdefender/hui/", ":15871", "/mwg-internal/", ":8010/xx/yy/zz/"),
        where=NOT_DOCUMENT,
    ),
    Rule(
        "translator-host",
        NoiseClass.TRANSLATOR,
        hosts=_words(
            "translate.google.com translate.googleapis.com translate-pa.googleapis.com translate.googleusercontent.com "
            "translate.goog microsofttranslator.com translate.yandex.net translate.yandex.ru translate.yandex.com "
            "translatoruser.net fanyi.baidu.com fanyi.youdao.com fanyi.qq.com dict.youdao.com papago.naver.net "
            "translate.naver.com papago.naver.com fanyi.sogou.com transmart.qq.com caiyunapp.com deepl.com lingualeo.com "
            "multitran.ru imtranslator.net immersivetranslate.com"
        ),
        prefixes=_below(
            "www.gstatic.com/_/translate www.gstatic.com/images/branding/product/1x/translate "
            "www.gstatic.com/images/branding/product/2x/translate fonts.gstatic.com/s/i/productlogos/translate "
            "edge.microsoft.com/translate yastatic.net/s3/translate"
        ),
    ),
    Rule(
        "bookmarklet-host",
        NoiseClass.BOOKMARKLET,
        hosts=_words(
            "getpocket.com readitlaterlist.com instapaper.com readability.com delicious.com dotepub.com pinboard.in "
            "printwhatyoulike.com wallabag.it huaban.com diigo.com raindrop.io squizlabs.github.io khan.github.io"
        ),
        paths=("/js/pinmarklet.js", "/html_codesniffer/build/", "visualevent_loader.js", "visualevent-loader.js"),
        where=NOT_DOCUMENT,
    ),
    Rule(
        "extension-host",
        NoiseClass.BROWSER_EXTENSION,
        hosts=_words(
            "addons.mozilla.org grammarly.io gingersoftware.com languagetool.org joinhoney.com honey.io wikibuy.com "
            "lastpass.com dashlane.com adblockplus.org getadblock.com goodblock.gladly.io tampermonkey.net "
            "evernote.com metabar.ru abine.com ghostery.com disconnect.me pnrws.skype.com ciuvo.com "
            "gwdang.com trackduck.com reftagger.com teamgum.com extlabs.io coupert.com capitaloneshopping.com priceblink.com "
            "piggy.co karmanow.com sf-helper.net acestream.net browsec.com hola.org anonymox.net zenmate.com mywot.com "
            "gnar.grammarly.com capi.grammarly.com static.grammarly.com treatment.grammarly.com languagetoolplus.com "
            "agilebits.com bitwarden.net keepersecurity.com nordpass.com data.alexa.com xslt.alexa.com "
            "toolbarqueries.google.com donation-tools.org"
        ),
        prefixes=_below("assets.pinterest.com/ext/"),
        where=NOT_DOCUMENT,
    ),
    Rule(
        "webview-host",
        NoiseClass.APP_WEBVIEW,
        hosts=_words("ucweb.com track.uc.cn imtt.qq.com freewebview.com"),
        where=NOT_DOCUMENT,
    ),
    # Pages that Chrome had made smaller for slow connections.
    Rule("browser-host", NoiseClass.BROWSER_INTERNAL, hosts=_words("googlezip.net")),
    Rule(
        "adware-host",
        NoiseClass.INJECTED_ADWARE,
        hosts=_words(
            "superfish.com tlscdn.com metrext.com cmptch.com jollywallet.com visadd.com dnsqa.me dnsqa2016.com dnsqa365.com "
            "foxydeal.com similardeals.net bestpriceninja.com davebestdeals.com eshopcomp.com couponmate.com likecoupon.ru "
            "gocoupons.ru shoppingate.info search-with.us myfindright.com websmartcenter.com searchfun.in zilionfast.in "
            "datafastguru.info pulseadnetwork.com linkluster.com saveyoutime.ru rafomedia.com icontent.us amiok.org "
            "connectionstrenth.com siteheart.net netanalitics.space image2play.com printapplink.com godlinkapp.com "
            "devappstor.com hoholikik.club smartlink.cool promfflinkdev.com monetizus.com netcheckcdn.xyz linkuryjs.info "
            "wajam.com conduit.com crossrider.com yontoo.com dealply.com "
            "adblockers.opera-mini.net d2x1jgnvxlnz25.cloudfront.net akamoihd.net prestadb.net adloads.net adsloads.com "
            "adsrun.net adnotbad.com srvtrck.com cpx.to jmp9.com noproblemppc.com cdncash.com cdncash.net cdncash.org "
            "ge0ip.com ge0ip.net igithab.com jquerylib.net jsfuel.com infostatsvc.com apps-analytics.net my-app-analytics.com "
            "extads.net extstat.com ext335.com mediaoptout.com mediaddons.com serverads.net takethatad.com "
            "easyshoppermac.com hotshoppymac.com liveshoppersmac.com myshopmatemac.com surfbuyermac.com "
            "addbin.men addfirst.men addtoadd.men everads.men partner-net.men partner-print.men adsstrike.pro ads-mixa.pro "
            "linksads.pro coolbar.pro skytraf.xyz threatennomore.xyz seemright.xyz yourads.website traffmasta.pw "
            "doubleclickadexchange.net window-promo.com adstomat.ru clickintext.net sheetinglulu.com admanaerofoil.com "
            "73a5b0806e464be8bd4e694c744624f0.com 020dfefc4ac745dab7594f2f771c1ded.com widgets.amung.us "
            "webwise.net oix.net nebuad.com lnkr.us lnkr.fr blinkadr.com divdriver.net youradexchange.com ratexchange.net "
            "tfxiq.com turbodsp.com konflab.com vsavr.com "
            "mindspark.com imgfarm.com mywebsearch.com babylon.com conduit-services.com conduit-hosting.com trovi.com "
            "iminent.com sweetim.com sweetpacks.com funmoods.com snapdo.com linkury.com genieo.com mybrowserbar.com "
            "webcompanion.com buzzdock.com pagerage.com dropdowndeals.com pricepeep.net text-enhance.com nav-links.com "
            "re-markable.net adtrustmedia.com privdog.com linkmyc.com d3lvr7yuk4uaui.cloudfront.net "
            "fpctraffic.com fpctraffic2.com ragapa.com r66t.com"
        ),
        endings=("-a.akamaihd.net",),  # how injected frameworks named their hosts: savingsslider-a, cdncache-a, …
        where=NOT_DOCUMENT,
    ),
    # Mobile carriers' compression, notices of providers, and a family of adware that lives in add-ons which changed hands.
    Rule(
        "isp-script",
        NoiseClass.INJECTED_ADWARE,
        prefixes=("http://1.1.1.1/bmi", "http://1.2.3.4/bmi"),
        paths=("/bmi-int-js/bmi.js", "/e8f6b078-0f35-11de-85c5-efc5ef23aa1f/"),
        where=NOT_DOCUMENT,
    ),
    Rule("adware-script", NoiseClass.INJECTED_ADWARE, paths=("/addons/lnkr",), where=NOT_DOCUMENT),
    # ── Samples ────────────────────────────────────────────────────────────────────────────────────────────────────
    Rule(
        "extension-sample",
        NoiseClass.BROWSER_EXTENSION,
        samples=r"\blastpass_?|installGlobalHook\(|__REACT_DEVTOOLS|__VUE_DEVTOOLS|window\.devToolsOptions|\b_PostRPC\(\)"
        r"|\b(?:Block|Fuck)AdBlo| abNoOp|(?:chrome|moz|safari-web)-extension:|\bGM_[a-z]+[A-Z]"
        r"|videodownload2|\.Wondersh|\bunsafeWindow\b|'ysmm'|\bscriptletGlobals\b|\bevent_id = document\.currentScript",
    ),
    # What browsers for phones, and apps with a browser in them, run in each page.
    Rule("browser-sample", NoiseClass.BROWSER_INTERNAL, samples=r"\b__gCrWeb\b|\b__firefox__\b"),
    Rule(
        "webview-sample",
        NoiseClass.APP_WEBVIEW,
        samples=r"\bWeixinJSBridge\b|\b_AutofillCallbackHandler\b|\binstantSearchSDKJSBridge|\bWebViewJavascriptBridge\b"
        r"|\bzaloJSV2\b|\b_pcmBridgeCallbackHandler\b|\bToutiaoJSBridge\b|\bUCShellJava\b|\bucbrowser_",
    ),
    Rule("security-sample", NoiseClass.SECURITY_SOFTWARE, samples=r"\bAG_[a-z]+[A-Z]|kaspersky"),
    Rule("undefined-sample", NoiseClass.BROWSER_BUG, samples=r"^;undefined$"),
    # ── Off unless somebody wants it: developers look for exactly these ────────────────────────────────────────────
    Rule(
        "localhost",
        NoiseClass.LOCALHOST,
        hosts=_words("localhost 127.0.0.1 [::1]"),
        where=frozenset({Place.BLOCKED, Place.DOCUMENT}),
        enabled=False,
    ),
)
