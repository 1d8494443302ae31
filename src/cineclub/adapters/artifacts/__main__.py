"""The fresh process that ``verify_artifact`` asks: ``python -m cineclub.adapters.artifacts FOLDER SHA256``."""

import sys
from pathlib import Path

from cineclub.adapters.artifacts.verification import check_answers
from cineclub.domain.errors import BrokenArtifact


def main() -> int:
    """Check the folder and hash of the command line; the reason of a failure goes to standard error."""
    try:
        check_answers(Path(sys.argv[1]), sys.argv[2])
    except BrokenArtifact as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
