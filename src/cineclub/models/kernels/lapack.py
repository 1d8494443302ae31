"""LAPACK for symmetric equations, without the interpreter's lock: other threads run while a large matrix is solved.

SciPy's own wrappers of these routines hold the lock, for minutes with many movies, and would stop the heartbeat.
Every matrix is square, column-major, of single or double precision, and is overwritten; its lower triangle counts.
"""

import ctypes
from typing import Any

import numpy as np
from numba.extending import get_cython_function_address
from numpy.typing import NDArray

LIBRARY = "scipy.linalg.cython_lapack"
LOWER = ctypes.byref(ctypes.c_char(b"L"))
LETTERS = {"float32": "s", "float64": "d"}


def factorise(matrix: NDArray[np.floating]) -> int:
    """Compute the Cholesky factor; return 0, or the order of the minor that is not positive definite."""
    size = _size_of(matrix)
    return _call("potrf", matrix, LOWER, size, _address_of(matrix), size)


def invert(factor: NDArray[np.floating]) -> int:
    """Compute the inverse of the matrix with this Cholesky factor; return 0, or the row of a zero on its diagonal."""
    size = _size_of(factor)
    return _call("potri", factor, LOWER, size, _address_of(factor), size)


def solve(factor: NDArray[np.floating], right: NDArray[np.floating]) -> int:
    """Solve for each column of ``right``, of the factor's shape and precision, which is overwritten; return 0."""
    if right.shape != factor.shape or right.dtype != factor.dtype or not right.flags.writeable:
        message = "the right side must be of the factor's shape and precision, and can be overwritten"
        raise ValueError(message)
    size = _size_of(factor)
    return _call("potrs", factor, LOWER, size, size, _address_of(factor), size, _address_of(right), size)


def _call(routine: str, matrix: NDArray[np.floating], *arguments: Any) -> int:
    """Call a routine in the precision of the matrix, and return its status; an empty matrix needs no call."""
    if not len(matrix):
        return 0  # LAPACK refuses a leading dimension of 0
    address = get_cython_function_address(LIBRARY, LETTERS[matrix.dtype.name] + routine)
    status = ctypes.c_int()
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (len(arguments) + 1))
    prototype(address)(*arguments, ctypes.byref(status))
    return status.value


def _size_of(matrix: NDArray[np.floating]) -> Any:
    """Return a reference to the number of rows."""
    return ctypes.byref(ctypes.c_int(len(matrix)))


def _address_of(matrix: NDArray[np.floating]) -> ctypes.c_void_p:
    """Return the address of the numbers, which must be in column-major order."""
    if not matrix.flags.f_contiguous:
        message = "the matrix is not column-major"
        raise ValueError(message)
    return ctypes.c_void_p(matrix.ctypes.data)
