"""``python -m cineclub.promoting``: a decision about what serves in a process of its own, for MLflow imports slowly.

Reads ``{"version": 7, "reason": "…"}`` from its input, a rollback without ``version``, one by probation with
``promotion_id`` instead, and prints what serves now or the error as JSON; secrets come through the environment.
"""

import json
import logging
import sys
from collections.abc import Mapping
from typing import Any

from cineclub import bootstrap
from cineclub.domain.errors import CineclubError
from cineclub.ports import Promotion
from cineclub.settings import Settings

log = logging.getLogger("cineclub.promoting")


def main() -> int:
    """Do what the input asks, and say what came of it."""
    asked = json.load(sys.stdin)
    try:
        promotion = _decide(asked, Settings())
        answer: dict[str, Any] = {"version": promotion.version}
    except CineclubError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    json.dump(answer, sys.stdout)
    return 0


def _decide(asked: Mapping[str, Any], settings: Settings) -> Promotion:
    """Carry the decision out, and return what serves now."""
    if "promotion_id" in asked:
        return bootstrap.end_probation(settings, asked["promotion_id"], asked["reason"])
    return bootstrap.promote_by_person(settings, asked.get("version"), asked["reason"])


if __name__ == "__main__":
    sys.exit(main())
