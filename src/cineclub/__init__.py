"""cineclub: a self-hosted film recommender that proves a new model is better before it goes live."""

__version__ = "0.1.0"
