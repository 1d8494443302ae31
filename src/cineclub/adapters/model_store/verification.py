"""Verification of an artifact: a process with its files alone reproduces the sample scores of the fitted model."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from cineclub.adapters.model_store.manifest import SAMPLE_SCORES
from cineclub.adapters.model_store.reading import read_artifact
from cineclub.adapters.model_store.samples import are_same_scores, sample_scores
from cineclub.domain.errors import BrokenArtifact

TIMEOUT_SECONDS = 600


def verify_artifact(folder: Path, expected_manifest_sha256: str) -> None:
    """Load an artifact in a fresh process and compare its sample scores with those of the fitted model.

    Raises:
        BrokenArtifact: it does not load, or its scores differ.
    """
    command = [sys.executable, "-m", __package__, str(folder), expected_manifest_sha256]
    try:
        finished = _run_while_we_live(command)
    except subprocess.TimeoutExpired as error:
        message = f"{folder} did not load within {TIMEOUT_SECONDS} seconds: it is not promoted"
        raise BrokenArtifact(message) from error
    if finished.returncode:
        last_line = finished.stderr.strip().splitlines()[-1:] or [f"exit status {finished.returncode}"]
        raise BrokenArtifact(last_line[0])


def _run_while_we_live(command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run a process that ends with this one, which closes the pipe on its standard input."""
    read_end, write_end = os.pipe()
    try:
        return subprocess.run(  # noqa: S603 - our own module
            command, stdin=read_end, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
    finally:
        os.close(read_end)
        os.close(write_end)


def check_sample_scores(folder: Path, expected_manifest_sha256: str) -> None:
    """Load an artifact in this process and compare its sample scores.

    Raises:
        BrokenArtifact: it does not load, or its scores differ.
    """
    fitted, _ = read_artifact(folder, expected_manifest_sha256)
    try:
        expected = np.load(folder / SAMPLE_SCORES, allow_pickle=False)
    except (OSError, ValueError) as error:
        message = f"the artifact {folder} has no sample scores: train again"
        raise BrokenArtifact(message) from error
    if not are_same_scores(expected, sample_scores(fitted)):
        message = f"the artifact {folder} has other sample scores than the fitted model: train again"
        raise BrokenArtifact(message)
