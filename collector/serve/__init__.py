"""Snapshot out: the API, the exporter and the health of the service. Reads only."""
