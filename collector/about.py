"""What clients are told about the service itself, made of its settings: the same for as long as it runs."""

from __future__ import annotations

from collector.config.settings import Settings
from collector.normalize.tokens import Lifetimes


def lifetimes(settings: Settings) -> Lifetimes:
    """For how long tokens may work."""
    return Lifetimes(settings.default_token_lifetime, settings.max_token_lifetime, settings.max_admin_token_lifetime)
