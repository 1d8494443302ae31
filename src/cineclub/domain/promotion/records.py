"""Records of promotions and refusals."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from cineclub.domain.promotion.versions import RegisteredVersion, VersionKey
from cineclub.domain.recommend.recipe import Recipe

PromotedBy = Literal["gate", "person", "drift", "outside", "probation"]
RequestedBy = Literal["gate", "person", "outside", "probation"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A promotion that was refused: the version, who requested it, and the reason."""

    refusal_id: int
    refused_at: datetime
    version: int
    asked_by: RequestedBy
    reason: str


@dataclass(frozen=True, slots=True)
class Promotion:
    """A row of the promotion history: a version, the time from which it served, the reason, and its hash.

    ``artifact_folder`` is the name of its local copy in the folder ``models`` of CINECLUB_HOME.
    """

    version: int
    promoted_at: datetime
    verdict: str
    reason: str
    promoted_by: str
    recipe: Recipe
    manifest_sha256: str
    artifact_folder: str = ""
    previous_version: int | None = None
    training_id: str | None = None
    promotion_id: int = 0

    @property
    def key(self) -> VersionKey:
        """The identity of the served version."""
        return self.version, self.manifest_sha256

    def __str__(self) -> str:
        """Return the decision as part of a sentence."""
        since = f"{self.promoted_at:%Y-%m-%d %H:%M:%S} UTC"
        return (
            f"promotion {self.promotion_id} of version {self.version} by {self.promoted_by} at {since} ({self.reason})"
        )


@dataclass(frozen=True, slots=True)
class NewPromotion:
    """A promotion to be recorded; without a training, a person, probation or a move of the alias caused it."""

    version: int
    verdict: str
    reason: str
    promoted_by: PromotedBy
    training_id: str | None
    recipe: Recipe
    manifest_sha256: str
    artifact_folder: str

    @classmethod
    def of(
        cls,
        version: RegisteredVersion,
        verdict: str,
        reason: str,
        promoted_by: PromotedBy,
        training_id: str | None = None,
    ) -> "NewPromotion":
        """Return the promotion of a registered version."""
        return cls(
            version=version.version,
            verdict=verdict,
            reason=reason,
            promoted_by=promoted_by,
            training_id=training_id,
            recipe=version.recipe,
            manifest_sha256=version.manifest_sha256,
            artifact_folder=version.copy_name,
        )

    @property
    def key(self) -> VersionKey:
        """The identity of the promoted version."""
        return self.version, self.manifest_sha256


@dataclass(frozen=True, slots=True)
class Compared:
    """The version (None for none) that a promotion was decided against: it must still serve when it is recorded.

    With ``promotion_id`` it must serve by that very promotion.
    """

    serving: VersionKey | None
    promotion_id: int | None = None

    def still_serves(self, serving: Promotion | None) -> bool:
        """Return whether the compared version is the one that serves now."""
        if serving is None or self.serving is None:
            return serving is None and self.serving is None
        return self.serving == serving.key and self.promotion_id in (None, serving.promotion_id)


@dataclass(frozen=True, slots=True)
class ProductionState:
    """The newest promotion (None before the first), and the type of movie ids, as PostgreSQL has them.

    ``n_refusals`` counts the refused promotions by requester.
    """

    promotion: Promotion | None
    movie_ids_are_integers: bool
    n_refusals: Mapping[RequestedBy, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServableCopy:
    """A local copy that can serve without a database; ``movie_ids_are_integers`` is None where it is unknown."""

    promotion: Promotion
    movie_ids_are_integers: bool | None = None
