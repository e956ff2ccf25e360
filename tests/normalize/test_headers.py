from __future__ import annotations

from collector.normalize.headers import report_headers

KEY = "a9Kd03mQzLx7Yb2Nw4Tr8Vc1Ps6Hf5Je"


def test_plain_http_offers_report_uri_alone() -> None:
    """A browser that is given both over plain http sends nothing, so it is given one."""
    assert [str(header) for header in report_headers("http://127.0.0.1:3000", KEY)] == [
        f"Content-Security-Policy-Report-Only: default-src 'self'; report-uri http://127.0.0.1:3000/csp/reports?key={KEY}"
    ]


def test_https_offers_both() -> None:
    """Over https the endpoint is named first, and the policy asks for both ways of reporting."""
    url = f"https://c.example.com/csp/reports?key={KEY}"
    assert [str(header) for header in report_headers("https://c.example.com", KEY)] == [
        f'Reporting-Endpoints: csp="{url}"',
        f"Content-Security-Policy-Report-Only: default-src 'self'; report-uri {url}; report-to csp",
    ]


def test_a_key_cannot_end_the_directive() -> None:
    """Whatever a key holds, it stays within the query of the address."""
    (header,) = report_headers("http://127.0.0.1:3000", "a; script-src *")
    assert header.value == "default-src 'self'; report-uri http://127.0.0.1:3000/csp/reports?key=a%3B%20script-src%20%2A"
