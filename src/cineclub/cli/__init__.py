"""The command line: arguments in, text out; it decides nothing. Every command imports what it needs when it runs."""
