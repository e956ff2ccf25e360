"""Several collectors on one database."""
