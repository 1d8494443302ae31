"""Promotion: verify a version, record the promotion, and let the registry's alias follow.

The newest promotion in PostgreSQL decides which version serves. The alias ``production`` of the registry follows it. A
crash between the two, or a move of the alias outside of cineclub, is resolved by ``PromotionFlow.reconcile``.
"""

import logging
from contextlib import suppress

from cineclub.domain.errors import BrokenArtifact, CineclubError, Conflict, NotFound, StorageUnavailable
from cineclub.domain.promotion.alias import (
    MOVED_OUTSIDE,
    OUTSIDE_VERDICT,
    decide_alias,
    follow_promotion,
    overruled_move,
)
from cineclub.domain.promotion.records import Compared, NewPromotion, PromotedBy, Promotion, RequestedBy
from cineclub.domain.promotion.rollback import ROLLBACK, copies_to_keep, rollback_target
from cineclub.domain.promotion.versions import RegisteredVersion
from cineclub.flows.promotion.patient_registry import Repeat
from cineclub.flows.promotion.registration import PROMOTIONS_READ, RegistrationFlow

log = logging.getLogger(__name__)

SECONDS_OF_WAITING = 30.0
"""The wait of a promotion for another process that moves the alias, before it leaves the move to the worker."""


class PromotionFlow:
    """The decision which version serves, and its execution."""

    def __init__(self, versions: RegistrationFlow, *, keeps_challenger: bool = False) -> None:
        """Promote these versions; with ``keeps_challenger`` the challenger has a local copy too, for the shadow."""
        self.versions = versions
        self._keeps_challenger = keeps_challenger
        self._registry = versions.registry
        self._promotions = versions.promotions

    def waiting(self, repeat: Repeat) -> "PromotionFlow":
        """Return the same flow, for which a registry that does not answer is waited for."""
        return PromotionFlow(self.versions.waiting(repeat), keeps_challenger=self._keeps_challenger)

    def promote_winner(
        self,
        training_id: str,
        version: RegisteredVersion,
        verdict: str,
        reason: str,
        opponent: RegisteredVersion | None,
    ) -> None:
        """Promote the version of a training that the gate accepted against an opponent (None: nothing served).

        Raises:
            BrokenArtifact: it does not load, or its scores differ from the fitted model's; the refusal is recorded.
            Conflict: another version serves by now than the opponent.
            LeaseLost: the training belongs to another worker by now.
            TrainingCancelled: a person cancelled the training before the promotion.
        """
        compared = Compared(None if opponent is None else opponent.key)
        self._promote(version, NewPromotion.of(version, verdict, reason, "gate", training_id), compared)

    def promote(self, version: int, reason: str) -> Promotion:
        """Promote a registered version for a person, whatever the verdict of the gate.

        Raises:
            NotFound: there is no such version.
            Conflict: it serves already, by a decision that the message names, or it cannot be served; the refusal is
                recorded.
        """
        serving = self._promotions.newest()
        if serving is not None and serving.version == version:
            message = f"version {version} is in production already; that decision stands: {serving}"
            raise Conflict(message)
        return self._promote_or_refuse(version, "PROMOTE", reason, "person")

    def roll_back(self, reason: str) -> Promotion:
        """Return to the version that served before; a second rollback goes further back.

        Raises:
            Conflict: no version served before, that version cannot be served any more, or another decision was recorded
                meanwhile.
        """
        promotions = self._promotions.recent(PROMOTIONS_READ)
        target = rollback_target(promotions)
        if target is None:
            message = "no version served before the present one: choose one with `cineclub models` and promote it"
            raise Conflict(message)
        compared = Compared(promotions[0].key, promotions[0].promotion_id)
        return self._promote_or_refuse(target.version, ROLLBACK, reason, "person", compared)

    def end_probation(self, promotion_id: int, reason: str) -> Promotion:
        """Return from the version of a promotion to the former one.

        It happens once, however many processes request it: only while that promotion decides which version serves.

        Raises:
            Conflict: another promotion decides by now, or the former version cannot be served any more.
        """
        promotions = self._promotions.recent(PROMOTIONS_READ)
        target = rollback_target(promotions)
        if target is None or promotions[0].promotion_id != promotion_id:
            message = (
                f"promotion {promotion_id} is not in production any more: nothing was rolled back, `cineclub models` "
                "shows the version that serves"
            )
            raise Conflict(message)
        return self._promote_or_refuse(
            target.version, ROLLBACK, reason, "probation", Compared(promotions[0].key, promotion_id)
        )

    def follow(self) -> None:
        """Make the alias name the version that was promoted last, and delete old local copies.

        The promotion stands if this fails: the worker reconciles within seconds.
        """
        try:
            with self._promotions.alias_lock(SECONDS_OF_WAITING) as is_alone:
                if is_alone and (serving := self._promotions.newest()) is not None:
                    self._refuse_overruled_move(serving.version)
                    self._move_alias(serving.version)
            self._delete_old_copies()
        except (CineclubError, OSError) as error:
            log.warning("alias_follows_later cause=%s", error)

    def reconcile(self) -> str | None:
        """Bring alias and promotions together after a crash or a move outside; return a description of the change.

        An alias that cineclub moved last follows the promotions. A version that was put under the alias outside of
        cineclub is promoted if cineclub registered it and it is sound; otherwise it is refused, and the alias returns.

        Raises:
            RegistryUnavailable: the registry does not answer.
            ForeignRegistry: the registered model is not this installation's; nothing is moved or promoted.
        """
        self.versions.check_registry()
        self.versions.note_earlier_versions()
        with self._promotions.alias_lock(0) as is_alone:
            change = self._reconcile() if is_alone else ""
        self._bring_challenger_home()
        return change or None

    def _promote_or_refuse(
        self, number: int, verdict: str, reason: str, promoted_by: PromotedBy, compared: Compared | None = None
    ) -> Promotion:
        """Promote a version for a person or for probation."""
        version = self.versions.get(number)
        try:
            return self._promote(version, NewPromotion.of(version, verdict, reason, promoted_by), compared)
        except BrokenArtifact as error:
            message = f"version {number} cannot be served ({error}): production stays as it was, choose another version"
            raise Conflict(message, error.detail) from error

    def _promote(self, version: RegisteredVersion, promotion: NewPromotion, compared: Compared | None) -> Promotion:
        """Verify a version, record its promotion, and let the alias follow; a refusal is recorded."""
        self.versions.check_registry()
        try:
            self.versions.bring_home(version)
        except BrokenArtifact as error:
            requested_by: RequestedBy = "gate"
            if promotion.promoted_by in {"person", "probation"}:
                requested_by = promotion.promoted_by
            self._refuse(version.version, requested_by, error)
            raise
        recorded = self._promotions.record(promotion, compared)
        self.follow()
        return recorded

    def _reconcile(self) -> str:
        """Compare the recorded alias, the alias, and the newest promotion, and bring them together."""
        recorded = self._promotions.recorded_alias()
        alias, serving = self._registry.alias(), self._promotions.newest()
        decision = decide_alias(recorded, alias, serving.version if serving else None)
        if decision.action == "keep":
            return self._keep(serving) if serving else ""
        if decision.action == "take_over" and alias is not None:
            return self._take_over_or_refuse(alias, serving) or decision.explanation
        self._move_alias(decision.target)
        return decision.explanation

    def _take_over_or_refuse(self, alias: int, serving: Promotion | None) -> str:
        """Promote the version that was put under the alias outside; return the reason where that is impossible."""
        try:
            self._take_over(alias, serving)
        except Conflict as error:  # a promotion was recorded meanwhile: following it refuses this move
            return str(error)
        except BrokenArtifact as error:
            self._refuse(alias, "outside", error)
            back = follow_promotion(alias, serving.version if serving else None)
            self._move_alias(back.target)
            return f"{back.explanation}; {error}"
        return ""

    def _keep(self, serving: Promotion) -> str:
        """Complete the record of an interrupted move, and make sure that the version has its local copy."""
        if self._promotions.recorded_alias() != {serving.version}:
            self._promotions.note_alias_moved(serving.version)
        if self.versions.store.has_copy(*serving.key):
            return ""
        try:
            self.versions.bring_home(self._registry.version(serving.version))
        except (BrokenArtifact, NotFound) as error:
            return f"version {serving.version} serves from what is loaded, but its artifact is broken: {error}"
        return ""

    def _take_over(self, alias: int, serving: Promotion | None) -> None:
        """Promote a version that was put under the alias outside of cineclub.

        Raises:
            BrokenArtifact: cineclub did not register it, or it is damaged.
            Conflict: another version was promoted meanwhile.
        """
        version = self._registry.version(alias)
        if version.key not in self._promotions.manifests():
            message = f"version {version.version} does not have the hash that cineclub registered: it was changed"
            raise BrokenArtifact(message)
        self.versions.bring_home(version)
        before = f"version {serving.version} served before" if serving else "nothing served before"
        promotion = NewPromotion.of(version, OUTSIDE_VERDICT, f"{MOVED_OUTSIDE}; {before}", "outside")
        self._promotions.record(promotion, Compared(serving.key if serving else None))
        self._promotions.note_alias_moved(version.version)
        self._delete_old_copies()

    def _move_alias(self, version: int | None) -> None:
        """Move or remove the alias; a crash in between leaves a record that cineclub moved it."""
        if version is not None:
            self._promotions.note_alias_moving(version)
        self._registry.move_alias(version)
        self._promotions.note_alias_moved(version)

    def _refuse_overruled_move(self, promoted: int) -> None:
        """Record that the alias had been moved outside just before a promotion, which stands."""
        alias = self._registry.alias()
        reason = overruled_move(self._promotions.recorded_alias(), alias, promoted)
        if alias is not None and reason:
            self._refuse(alias, "outside", reason)

    def _refuse(self, version: int, requested_by: RequestedBy, reason: str | BrokenArtifact) -> None:
        """Record that a version was not promoted; the same refusal of a repeated attempt is recorded once.

        Readers see the record, without the detail of an error; the log has the detail.
        """
        if self._promotions.refuse(version, requested_by, str(reason)):
            log.error("promotion_refused version=%s asked_by=%s cause=%s", version, requested_by, reason)

    def _bring_challenger_home(self) -> None:
        """Make sure that the challenger has its local copy; a broken challenger is refused."""
        challenger = self._challenger()
        if challenger is None or self.versions.store.has_copy(*challenger.key):
            return
        try:
            self.versions.bring_home(challenger)
        except BrokenArtifact as error:
            self._refuse(challenger.version, "gate", f"it cannot be compared in the shadow: {error}")

    def _challenger(self) -> RegisteredVersion | None:
        """Return the challenger where the shadow compares it."""
        known = self._promotions.challenger() if self._keeps_challenger else None
        return known.registered if known else None

    def _delete_old_copies(self) -> None:
        """Delete the local copies that are not needed soon."""
        with suppress(OSError, StorageUnavailable):  # the next promotion tries again
            history = self._promotions.recent(PROMOTIONS_READ)
            self.versions.store.keep_only(copies_to_keep(history, self._challenger()))
