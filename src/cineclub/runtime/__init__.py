"""The process and the machine it runs on: child processes, periodic tasks, memory."""
