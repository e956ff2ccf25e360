"""Collector: CSP reports and Coder usage in, snapshots, history, metrics and pages out.

A record's journey is the layout, and ``ls`` reads it straight down::

    http/       the door every request passes          ingest/   requests in
    normalize/  wire type -> record, pure              persist/  record -> durable row
    rollup/     rows -> aggregates -> snapshot         serve/    snapshot out
    pages/      what people look at                    wire/     what bytes mean

Packages are stations, files are kinds of record with one name at every station: ``ls collector/*/csp.py`` prints the
life of a CSP report. Imports go down only (``docs/architecture.md``); ``app.py`` builds, everybody else receives.
"""

__version__ = "0.1.0"
