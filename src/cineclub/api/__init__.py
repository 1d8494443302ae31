"""The HTTP API: requests as calls, and values as JSON; it decides nothing."""
