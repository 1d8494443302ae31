"""The fresh process that ``verify_artifact`` starts: ``python -m cineclub.adapters.model_store FOLDER SHA256``."""

import os
import stat
import sys
import threading
from pathlib import Path

from cineclub.adapters.model_store.verification import check_sample_scores
from cineclub.domain.errors import BrokenArtifact
from cineclub.runtime.process_start import begin_process


def main() -> int:
    """Check the folder and hash of the command line; the reason of a failure goes to standard error."""
    begin_process()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        check_sample_scores(Path(sys.argv[1]), sys.argv[2])
    except BrokenArtifact as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _end_with_parent() -> None:
    """End this process when its parent ends, which closes the pipe on standard input."""
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        os.read(0, 1)
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
