"""Rows -> aggregates -> snapshot: what is computed on a schedule and what is asked of the store. It knows no HTTP."""
