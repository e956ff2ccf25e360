"""Record -> durable row. The only floor that opens a database; it knows no HTTP."""
