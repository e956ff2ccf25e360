"""What tables are made with: one metadata for all, and the columns that many of them have."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import BigInteger, Column, Integer, MetaData, text

# Named constraints, so that a migration can drop what another database named differently
# (https://alembic.sqlalchemy.org/en/latest/naming.html).
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite makes a column the rowid, and thus small and self-counting, only when its type reads INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")


def count(name: str) -> Column[int]:
    """A number that starts at 0 and is added to."""
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def numbers(*names: str) -> Iterator[Column[int]]:
    """Columns of integers that are always given."""
    return (Column(name, BigInteger, nullable=False) for name in names)
