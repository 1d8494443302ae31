"""Ratings: the log, its order, filtering, matrix, movies."""
