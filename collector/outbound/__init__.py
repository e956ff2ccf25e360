"""Calls that the service makes itself, handed to the schedule by ``app.py``. Addresses come from options, never from data."""
