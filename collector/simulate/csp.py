"""Synthetic visitors: each walks over broken sites with one browser and posts what it sees, at a person's pace."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import aiohttp

from collector.simulate.dialects import DIALECTS, Dialect, Violation, other_report
from collector.simulate.faults import FAULTS, Fault
from collector.simulate.ledger import Ledger, Sent
from collector.simulate.plan import Plan

NO_ANSWER = (asyncio.TimeoutError, aiohttp.ClientError)
OTHER_TYPES = ("deprecation", "intervention", "permissions-policy-violation")
OTHER_SHARE = 0.04  # of the arrays carry a report that is not about CSP


class Visitor:
    """One browser of one person. Everything it does follows from the plan's seed and its own number."""

    def __init__(self, plan: Plan, number: int) -> None:
        self.rng = random.Random(f"{plan.seed}/visitor/{number}")  # noqa: S311 - play, no secret
        dialects, shares = zip(*DIALECTS, strict=True)
        # The first visitors bring one browser each, so that even a handful of them speaks every dialect.
        self.dialect: Dialect = dialects[number] if number < len(dialects) else self.rng.choices(dialects, shares)[0]
        self.pace = self.rng.uniform(*plan.pace)
        self.faults = [fault for fault in FAULTS if fault.engine in {None, self.dialect.engine}]

    def pause(self) -> float:
        """Seconds until the next POST."""
        return self.rng.expovariate(self.pace)

    def post(self) -> tuple[bytes, Sent]:
        """The next body, and what is in it."""
        amount = self.rng.randint(1, self.dialect.batch)
        violations = [self._violation(f) for f in self.rng.choices(self.faults, [f.weight for f in self.faults], k=amount)]
        others: list[dict[str, Any]] = []
        if self.dialect.name == "chromium reports" and self.rng.random() < OTHER_SHARE:
            others = [other_report(self.rng.choice(OTHER_TYPES), violations[0].fault.document, self.rng.randrange(60_000))]
        kinds = [(self.dialect.directive(v.fault), self.dialect.disposition(v), v.fault.noise) for v in violations]
        return self.dialect.body(violations, others), Sent(tuple(kinds), tuple(other["type"] for other in others))

    def _violation(self, fault: Fault) -> Violation:
        enforced = self.rng.random() < (0.9 if fault.enforced else 0.15)
        age_ms = self.rng.randrange(60_000) if self.dialect.batch > 1 else 0
        return Violation(fault, "enforce" if enforced else "report", f"{self.rng.getrandbits(64):x}", age_ms)


async def visit(session: aiohttp.ClientSession, plan: Plan, number: int, ledger: Ledger, until: float) -> None:
    """Post until the loop's clock says ``until``. A refused report is not sent again: no browser repeats a legacy report."""
    visitor, clock = Visitor(plan, number), asyncio.get_running_loop().time
    url, query = f"{plan.url.rstrip('/')}/api/v2/csp/reports", {"key": plan.browser_key}
    headers = {"Content-Type": visitor.dialect.content_type, "User-Agent": visitor.dialect.user_agent}
    while (pause := visitor.pause()) + clock() < until:
        await asyncio.sleep(pause)
        body, sent = visitor.post()
        ledger.csp_sent(sent)
        try:
            async with session.post(url, params=query, data=body, headers=headers) as response:
                await response.read()
        except NO_ANSWER:
            ledger.refused("csp", "connection")
            continue
        if response.ok:
            ledger.csp_acknowledged(sent)
        else:
            ledger.refused("csp", str(response.status))
