"""The ground: what bytes mean. Types only, no I/O; every other floor may stand on it."""
