"""Compiled loops of the models.

Numba keeps compiled code by file and function and unpickles the classes of cached signatures before it compares the
source. A module whose signatures name a renamed class takes a new name too, or an updated checkout cannot train.
"""
