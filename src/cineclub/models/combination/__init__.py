"""The learned combination of base models and trends."""

from cineclub.models.combination.model import Combination, CombinationHyperparameters

__all__ = ["Combination", "CombinationHyperparameters"]
