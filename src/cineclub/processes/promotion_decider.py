"""``python -m cineclub.processes.promotion_decider``: decide which version serves, in a process of its own.

It reads ``{"version": 7, "reason": "…"}`` from its standard input; without ``version`` it is a rollback, with
``promotion_id`` instead the end of a probation. It prints the version and the id of the promotion that was made, or the
error, as JSON. Secrets come through the environment.
"""

import json
import logging
import sys
from collections.abc import Mapping
from typing import Any

from cineclub.bootstrap import storage
from cineclub.domain.errors import CineclubError, RegistryUnavailable
from cineclub.domain.promotion.records import Promotion
from cineclub.runtime.file_errors import cause_of
from cineclub.runtime.process_start import begin_process
from cineclub.runtime.redaction import redacted
from cineclub.settings import Settings

log = logging.getLogger(__name__)


def main() -> int:
    """Carry out the request of the standard input, and print the outcome."""
    begin_process()
    request = json.load(sys.stdin)
    try:
        promotion = _decide(request, Settings())
        outcome: dict[str, Any] = {"version": promotion.version, "promotion_id": promotion.promotion_id}
    except CineclubError as error:
        outcome = _error(type(error), str(error), error.detail)
    except Exception as error:  # whoever asked waits for an answer, and the log of the API has the cause
        log.exception("decision_failed")
        cause = cause_of(error) if isinstance(error, OSError) else "the service's log has the cause"
        message = (
            f"the decision was not carried out to its end ({cause}): GET /models/ says what serves, then try again"
        )
        outcome = _error(RegistryUnavailable, message, str(error))
    json.dump(outcome, sys.stdout)
    return 0


def _error(kind: type[CineclubError], message: str, detail: str) -> dict[str, Any]:
    """Return the document of an error."""
    return {"error": kind.__name__, "message": redacted(message), "detail": redacted(detail)}


def _decide(request: Mapping[str, Any], settings: Settings) -> Promotion:
    """Carry out a request, and return the promotion that was made."""
    promotion = storage.persons_promotion_flow(settings)
    if "promotion_id" in request:
        return promotion.end_probation(request["promotion_id"], request["reason"])
    if "version" in request:
        return promotion.promote(request["version"], request["reason"])
    return promotion.roll_back(request["reason"])


if __name__ == "__main__":
    sys.exit(main())
