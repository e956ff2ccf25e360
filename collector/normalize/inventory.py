"""The lists of a telemetry snapshot -> the things of the inventory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from collector.normalize.identity import Identities
from collector.normalize.rows import milliseconds
from collector.normalize.rows import name as one_line
from collector.wire import telemetry as wire
from collector.wire.inventory import (
    InventoryKind,
    Item,
    OrganizationFacts,
    ProxyFacts,
    TemplateFacts,
    UserFacts,
    WorkspaceFacts,
)

Row = TypeVar("Row")

MAX_ROLES = 64

# Names are people's choice: what reads like a mail address, an IP address or a signed token is not kept within one either.
_PRIVATE = re.compile(
    r"[^\s@]+@[^\s@]+|\b(?:\d{1,3}\.){3}\d{1,3}\b|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}|\beyJ[\w-]{8,}[\w.-]*"
)

_USER, _TEMPLATE = msgspec.json.Decoder(wire.UserRow), msgspec.json.Decoder(wire.TemplateRow)
_WORKSPACE, _PROXY = msgspec.json.Decoder(wire.WorkspaceRow), msgspec.json.Decoder(wire.ProxyRow)
_ORGANIZATION = msgspec.json.Decoder(wire.OrganizationRow)


class Lists:
    """The lists of one message, decoded, and the count of what in them was wrong."""

    def __init__(self) -> None:
        self.refused: dict[str, int] = {}

    def of(self, name: str, rows: wire.Rows, decoder: msgspec.json.Decoder[Row]) -> list[Row]:
        """The elements of list ``name`` that are as ``decoder`` says."""
        good: list[Row] = []
        for row in rows or ():
            try:
                good.append(decoder.decode(row))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                self.refused[name] = self.refused.get(name, 0) + 1
        return good


def items_of(sent: wire.TelemetrySnapshot, lists: Lists, identities: Identities) -> Iterator[Item]:
    """The things that the lists of ``sent`` name; users as ``identities`` keeps them."""
    for user in lists.of("users", sent.users, _USER):
        if (user_id := identities.user_id(user.id)) is not None:
            roles = tuple(role for role in map(kept_text, (user.rbac_roles or [])[:MAX_ROLES]) if role)
            facts = UserFacts(roles, kept_text(user.status), kept_text(user.login_type))
            yield _item(InventoryKind.USER, user_id, user, None, user_id, facts)
    for template in lists.of("templates", sent.templates, _TEMPLATE):
        by = identities.user_id(template.created_by)
        about = TemplateFacts(template.organization_id, template.active_version_id, template.deprecated)
        yield _item(InventoryKind.TEMPLATE, template.id, template, template.name, by, about, deleted=template.deleted)
    for workspace in lists.of("workspaces", sent.workspaces, _WORKSPACE):
        owner = identities.user_id(workspace.owner_id)
        state = WorkspaceFacts(workspace.organization_id, workspace.template_id, kept_text(workspace.automatic_updates))
        yield _item(InventoryKind.WORKSPACE, workspace.id, workspace, workspace.name, owner, state, deleted=workspace.deleted)
    for proxy in lists.of("workspace_proxies", sent.workspace_proxies, _PROXY):
        derp = ProxyFacts(kept_text(proxy.display_name), proxy.derp_enabled, proxy.derp_only)
        yield _item(InventoryKind.PROXY, proxy.id, proxy, proxy.name, None, derp)
    for organization in lists.of("organizations", sent.organizations, _ORGANIZATION):
        default = OrganizationFacts(organization.is_default)
        yield _item(InventoryKind.ORGANIZATION, organization.id, organization, None, None, default)


_Made = wire.UserRow | wire.TemplateRow | wire.WorkspaceRow | wire.ProxyRow | wire.OrganizationRow


def _item(
    kind: InventoryKind,
    item_id: str,
    row: _Made,
    name: str | None,
    user_id: str | None,
    facts: msgspec.Struct,
    *,
    deleted: bool = False,
) -> Item:
    return Item(
        kind=kind,
        id=item_id,
        created_at=milliseconds(row.created_at),
        name=kept_text(name),
        user_id=user_id,
        facts=msgspec.json.encode(facts).decode(),
        deleted=deleted,
    )


def whole_kinds(sent: wire.TelemetrySnapshot, refused: dict[str, int]) -> Iterator[InventoryKind]:
    """The kinds whose list is whole: one with a refused element says nothing about what is not in it."""
    lists = {
        InventoryKind.USER: "users",
        InventoryKind.TEMPLATE: "templates",
        InventoryKind.WORKSPACE: "workspaces",
        InventoryKind.PROXY: "workspace_proxies",
        InventoryKind.ORGANIZATION: "organizations",
    }
    for kind, name in lists.items():
        if getattr(sent, name) is not None and name not in refused:
            yield kind


def kept_text(text: str | None) -> str | None:
    """``text`` in one line, without what is private in it; None when nothing is left."""
    cleaned = one_line(text)
    return _PRIVATE.sub("…", cleaned) if cleaned else None
