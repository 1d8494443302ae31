"""Recommendation: request, filters, cold start, ranking."""
