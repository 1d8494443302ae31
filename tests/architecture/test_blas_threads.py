"""The threads of OpenBLAS are set before anything loads numpy, which reads the settings once."""

import os
import subprocess
import sys

import pytest

WATCHED = """
import importlib.abc, os, sys

class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            print(os.environ.get("{variable}"))
            sys.meta_path.remove(self)
        return None

sys.meta_path.insert(0, Watch())
import {module}
import numpy
"""


@pytest.mark.parametrize(
    ("module", "variable", "value"),
    [
        ("cineclub.processes.api", "OPENBLAS_NUM_THREADS", "1"),
        ("cineclub.processes.worker", "OPENBLAS_THREAD_TIMEOUT", "4"),
        ("cineclub.cli.main", "OPENBLAS_THREAD_TIMEOUT", "4"),
    ],
)
def test_the_threads_of_openblas_are_set_before_numpy_is_loaded(module: str, variable: str, value: str) -> None:
    """Each process sets its variable before numpy is loaded, and keeps a value that a person has set."""
    for given, expected in ((None, value), ("3", "3")):
        environment = {name: of_name for name, of_name in os.environ.items() if not name.startswith("OPENBLAS")}
        environment |= {} if given is None else {variable: given}
        program = WATCHED.format(module=module, variable=variable)
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
        assert done.stdout.decode().splitlines() == [expected]
