"""The command line: translates arguments into flows and answers into text, and decides nothing."""
