"""``python -m cineclub.promoting``: a person's decision in a process of its own, for MLflow takes seconds to import.

Reads ``{"version": 7, "reason": "…"}`` from its input, a rollback without ``version``, and prints what serves now or
the error as JSON; secrets come through the environment.
"""

import json
import logging
import sys
from typing import Any

from cineclub import bootstrap
from cineclub.domain.errors import CineclubError
from cineclub.settings import Settings

log = logging.getLogger("cineclub.promoting")


def main() -> int:
    """Do what the input asks, and say what came of it."""
    asked = json.load(sys.stdin)
    try:
        promotion = bootstrap.promote_by_person(Settings(), asked.get("version"), asked["reason"])
        answer: dict[str, Any] = {"version": promotion.version}
    except CineclubError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    json.dump(answer, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
