"""``collector csp policy`` and ``collector csp header``: which policy a site should have, and what to paste."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import msgspec
from sqlalchemy import Connection

from collector.cli.command import STORE_OPTIONS, Subcommands, in_reading, settings_of
from collector.config.flags import add_flags
from collector.normalize.advice import advised, reported_policy
from collector.normalize.headers import KITS, report_headers
from collector.normalize.replay import replay
from collector.normalize.strict import strict_report
from collector.persist.projects import browser_key
from collector.rollup.evidence import LIMIT, evidence
from collector.rollup.scripts import scripts
from collector.wire.errors import InvalidInput
from collector.wire.evidence import Evidence
from collector.wire.policy import AdviceQuery, Allow, Grounds, Kit, PolicyAdvice, Replay, StrictReport
from collector.wire.scripts import MAX_LIMIT, ScriptQuery, StoredScript

OBSERVE_NOTE = (
    "Nothing is allowed, so every load of a page is reported. Send this header with a share of your responses only, one in a"
    " hundred to begin with."
)


def add(csp: Subcommands) -> None:
    """Declare the commands."""
    advice = csp.add_parser("policy", help="suggest a policy from what was reported; or try another one on it")
    advice.add_argument("--project", required=True, metavar="NAME", help="the site whose reports are looked at")
    advice.add_argument("--policy", metavar="POLICY", help="the policy to begin with; the one reported if not given")
    for name in ("reports", "clients", "days"):
        advice.add_argument(f"--{name}", type=int, metavar="N", help=f"list what was seen with at least so many {name}")
    advice.add_argument("--paths", action="store_true", help="list addresses with their paths")
    advice.add_argument("--allow", action="append", default=[], choices=[each.value for each in Allow], help="list this too")
    instead = advice.add_mutually_exclusive_group()
    instead.add_argument("--replay", action="store_true", help="say what --policy would do with what was reported")
    instead.add_argument("--strict", action="store_true", help="say what a policy of nonces or hashes would need")
    advice.add_argument("--json", action="store_true", help="print what the API answers")
    add_flags(advice, STORE_OPTIONS)
    advice.set_defaults(run=print_policy)

    header = csp.add_parser("header", help="print the response headers that make a site's visitors report")
    header.add_argument("--project", required=True, metavar="NAME", help="the site; it needs a browser key")
    header.add_argument("--base-url", metavar="URL", help="where browsers reach the collector; CODER_ACCESS_URL if not given")
    header.add_argument("--policy", metavar="POLICY", help="the policy to send")
    kit = header.add_mutually_exclusive_group()
    kit.add_argument("--starter", action="store_const", dest="kit", const=Kit.STARTER, help=f"{KITS[Kit.STARTER]} (default)")
    kit.add_argument(
        "--observe",
        action="store_const",
        dest="kit",
        const=Kit.OBSERVE,
        help="report everything a page loads, and block nothing",
    )
    header.add_argument("--report-only", action="store_true", help="block nothing")
    add_flags(header, STORE_OPTIONS)
    header.set_defaults(run=print_header, kit=Kit.STARTER)


def print_policy(args: argparse.Namespace) -> int:
    """Print the suggested policy, and on standard error what speaks for it and what it leaves; or a replay, or the needs."""
    inventory = ScriptQuery(project=args.project, limit=MAX_LIMIT)
    found, page = in_reading(settings_of(args), lambda store: (evidence(store, args.project), scripts(store, inventory)))
    answer = _answer(args, found, page.results)
    if args.json:
        print(msgspec.json.format(msgspec.json.encode(answer)).decode())
    elif isinstance(answer, PolicyAdvice):
        print(answer.policy)
        for line in _advice_lines(answer):
            print(line, file=sys.stderr)
    else:
        for line in _replay_lines(answer) if isinstance(answer, Replay) else _strict_lines(answer):
            print(line)
    return 0


def _answer(args: argparse.Namespace, found: list[Evidence], known: list[StoredScript]) -> PolicyAdvice | Replay | StrictReport:
    given = {name: value for name in AdviceQuery.__struct_fields__ if (value := getattr(args, name)) not in (None, [])}
    try:
        query = msgspec.convert(given, AdviceQuery)
    except msgspec.ValidationError as error:
        raise InvalidInput(str(error)) from error
    if args.replay:
        if not query.policy:
            raise InvalidInput("--replay needs the --policy to try")
        return replay(query.project, query.policy, found, cut=len(found) >= LIMIT)
    if args.strict:
        return strict_report(query.project, query.policy or reported_policy(found, 1) or "", found, known)
    return advised(query, found, cut=len(found) >= LIMIT)


def _advice_lines(answer: PolicyAdvice) -> list[str]:
    lines = [f"base ({answer.base_from}): {answer.base}"]
    for added in answer.added:
        lines.append(f"+ {added.directive} {added.source}  {_grounds(added.evidence)}")
        lines += [f"    warning: {warning}" for warning in added.warnings]
    lines += [f"- {one.directive} {one.blocked}  {one.reason}: {one.detail}  {_grounds(one.evidence)}" for one in answer.left]
    return lines + [f"warning: {warning}" for warning in answer.warnings]


def _replay_lines(answer: Replay) -> list[str]:
    lines = [
        f"{one.verdict:7}  {one.directive} {one.blocked}  {_grounds(one.evidence)}"
        + (f"  ({one.detail})" if one.detail else "")
        for one in answer.results
    ]
    lines += [f"unknown  {one.directive} {one.source}  was allowed, so nobody reported its use" for one in answer.unseen]
    return [*lines, f"complete: {'yes' if answer.complete else 'no'}"]


def _strict_lines(answer: StrictReport) -> list[str]:
    lines = [answer.policy]
    lines += [f"{need.what}  {need.where}  {need.advice}  {_grounds(need.evidence)}" for need in answer.needs]
    lines += [f"bypass  {one.source}: {one.host} {one.why}" for one in answer.bypasses]
    return lines + [f"script  '{one.hash}'  {one.url or one.document_origin}" for one in answer.scripts if one.hash]


def _grounds(found: Grounds) -> str:
    return f"[{found.reports} reports, {found.clients} clients, {found.days} days]"


def print_header(args: argparse.Namespace) -> int:
    """Print the headers alone on standard output, one a line."""
    settings = settings_of(args)
    base_url: Any = args.base_url or settings.access_url
    if not base_url:
        raise InvalidInput("--base-url must say where browsers reach the collector")

    def key(connection: Connection) -> str:
        return browser_key(connection, args.project)

    observing = args.kit is Kit.OBSERVE and not args.policy
    policy, report_only = args.policy or KITS[args.kit], args.report_only or observing
    for header in report_headers(base_url, in_reading(settings, key), policy=policy, report_only=report_only):
        print(header)
    if observing:
        print(OBSERVE_NOTE, file=sys.stderr)
    return 0
