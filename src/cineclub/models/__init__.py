"""One recommender per file; ``catalogue`` names them all."""
