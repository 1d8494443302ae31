"""The HTTP API: it translates requests into calls and values into JSON, and decides nothing."""
