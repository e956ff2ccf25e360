"""Options are data: each is declared once, and flags, environment, YAML, typed settings and docs derive from it."""
