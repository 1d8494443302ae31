"""Data drift: statistics, normal range, comparison, checks."""
