"""Whether an artifact answers as the fitted model did, asked of a process that has nothing but the files."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from cineclub.adapters.artifacts.manifest import SAMPLE_SCORES
from cineclub.adapters.artifacts.reading import read_artifact
from cineclub.adapters.artifacts.samples import are_same_answers, sample_scores
from cineclub.domain.errors import BrokenArtifact

TIMEOUT_SECONDS = 600


def verify_artifact(folder: Path, expected_manifest_sha256: str) -> None:
    """Load an artifact in a fresh process and compare its answers with those of the model that was written.

    Raises:
        BrokenArtifact: it does not load, or it answers otherwise.
    """
    command = [sys.executable, "-m", __package__, str(folder), expected_manifest_sha256]
    try:
        finished = _run_while_we_live(command)
    except subprocess.TimeoutExpired as error:
        message = f"{folder} did not answer within {TIMEOUT_SECONDS} seconds: it is not promoted"
        raise BrokenArtifact(message) from error
    if finished.returncode:
        last_words = finished.stderr.strip().splitlines()[-1:] or [f"exit status {finished.returncode}"]
        raise BrokenArtifact(last_words[0])


def _run_while_we_live(command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run a process whose standard input is a pipe of ours: it closes when we end, however we end."""
    its_end, our_end = os.pipe()
    try:
        return subprocess.run(  # noqa: S603 - our own module
            command, stdin=its_end, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
    finally:
        os.close(its_end)
        os.close(our_end)


def check_answers(folder: Path, expected_manifest_sha256: str) -> None:
    """Load an artifact in this process and compare its answers.

    Raises:
        BrokenArtifact: it does not load, or it answers otherwise.
    """
    fitted, _ = read_artifact(folder, expected_manifest_sha256)
    try:
        expected = np.load(folder / SAMPLE_SCORES, allow_pickle=False)
    except (OSError, ValueError) as error:
        message = f"the artifact {folder} holds no answers to compare with: train again"
        raise BrokenArtifact(message) from error
    if not are_same_answers(expected, sample_scores(fitted)):
        message = f"the artifact {folder} answers otherwise than the model that was fitted: train again"
        raise BrokenArtifact(message)
