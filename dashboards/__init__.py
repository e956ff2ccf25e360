"""The Grafana dashboards: one module a board, from which ``python -m dashboards`` writes the JSON files that Grafana loads."""
