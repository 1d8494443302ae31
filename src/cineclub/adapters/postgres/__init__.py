"""PostgreSQL: the only place that knows psycopg."""
