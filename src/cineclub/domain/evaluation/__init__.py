"""Evaluation of models: splits, metrics, scoreboard, search, significance."""
