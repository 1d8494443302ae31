"""Compiled kernels (numba), imported only where a fit begins."""
