"""The command line; it decides nothing. Each command imports its modules when it runs, so that help stays fast."""
