"""Databases that take no writes."""

import psycopg


def set_read_only(database_url: str, *, is_on: bool) -> None:
    """Let new sessions of a database refuse writes, or take them, and end the present sessions."""
    setting = "SET default_transaction_read_only = on" if is_on else "RESET default_transaction_read_only"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        [[name]] = connection.execute("SELECT current_database()").fetchall()
        connection.execute(f"ALTER DATABASE {name} {setting}".encode())
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
