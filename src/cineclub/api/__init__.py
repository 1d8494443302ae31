"""The HTTP API: translates requests into flows and answers into JSON, and decides nothing."""
