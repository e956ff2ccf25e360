"""Alembic's hook: migrate on the connection that ``collector.persist.migrate`` hands over."""

from alembic import context

from collector.persist.partitions import is_partition
from collector.persist.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",  # SQLite alters a table by making it anew
    compare_type=True,
    include_name=lambda name, _type, _parents: not is_partition(name),
)
with context.begin_transaction():
    context.run_migrations()
