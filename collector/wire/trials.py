"""What tries an intake out: an id that no real sender has, by which its records are found again and kept out of the numbers."""

from __future__ import annotations

TRIAL_ID = "collector-setup-test"  # of the agent, and of the machine
