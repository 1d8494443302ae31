"""A broken version is never promoted, and the refusal is recorded with its reason."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cineclub.adapters.model_store import LocalModelStore
from cineclub.domain.errors import BrokenArtifact, Conflict
from cineclub.domain.ratings.log import Movie, SnapshotIdentity
from cineclub.domain.recommend.recommender import FittedModel
from cineclub.flows.promotion.flow import PromotionFlow
from cineclub.flows.promotion.registration import RegistrationFlow
from registry_bench import Bench, assert_serves

Damage = Callable[[Path], None]


def truncate(folder: Path) -> None:
    """Truncate an array, as a full disk does."""
    path = folder / "popularity.npy"
    path.write_bytes(path.read_bytes()[:-4])


def put_nan_inside(folder: Path) -> None:
    """Set one weight of the model to NaN, with the hash updated."""
    path = folder / "model.weights.npy"
    values = np.load(path)
    values.flat[0] = np.nan
    np.save(path, values, allow_pickle=False)
    fit_hashes(folder)


def lose_a_movie(folder: Path) -> None:
    """Shorten the popularity array by one film, with the hashes updated."""
    path = folder / "popularity.npy"
    np.save(path, np.load(path)[:-1], allow_pickle=False)
    fit_hashes(folder)


def fit_hashes(folder: Path) -> None:
    """Update sizes and hashes in the manifest, as a faulty writer would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, facts in manifest["files"].items():
        content = (folder / name).read_bytes()
        facts |= {"sha256": hashlib.sha256(content).hexdigest(), "n_bytes": len(content)}
        if name.endswith(".npy"):
            facts["shape"] = list(np.load(folder / name).shape)
    (folder / "manifest.json").write_text(json.dumps(manifest))


class FaultyStore(LocalModelStore):
    """A model store whose writer damages each artifact."""

    def __init__(self, home: Path, damage: Damage) -> None:
        """Set the damage."""
        super().__init__(home)
        self._damage = damage

    @contextmanager
    def written(
        self, fitted: FittedModel, movies: Sequence[Movie], snapshot: SnapshotIdentity
    ) -> Iterator[tuple[Path, str]]:
        """Write an artifact, damage it, and return its folder with the hash of its present manifest."""
        with super().written(fitted, movies, snapshot) as (folder, _):
            self._damage(folder)
            yield folder, hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncate, "popularity.npy has"),
        (put_nan_inside, "holds values that are not finite"),
        (lose_a_movie, "not usable"),
    ],
    ids=["truncated", "NaN inside", "wrong film count"],
)
@pytest.mark.parametrize("asked_by", ["gate", "person", "outside"])
def test_a_broken_version_is_refused_whoever_asks(asked_by: str, damage: Damage, reason: str, bench: Bench) -> None:
    """Promotions by the gate, by a person and by an outside alias are refused with a reason; production stays."""
    served = bench.promoted()
    faulty = PromotionFlow(RegistrationFlow(bench.registry, FaultyStore(bench.home, damage), bench.promotions))
    broken = replace(bench, promotion=faulty).registered(seed=1)
    if asked_by == "gate":
        with pytest.raises(BrokenArtifact, match=reason):
            bench.promotion.promote_winner(
                bench.training_id, broken, "PROMOTE", "it is better", bench.versions.production()
            )
    elif asked_by == "person":
        with pytest.raises(Conflict, match=reason) as refused:
            bench.promotion.promote(broken.version, "to try")
        assert isinstance(refused.value.__cause__, BrokenArtifact)
    else:
        bench.client.set_registered_model_alias("cineclub", "production", str(broken.version))
        assert reason in (bench.promotion.reconcile() or "")
    assert_serves(bench, served)
    assert [record.version for record in bench.promotions.recent(5)] == [served.version]
    (refusal,) = bench.promotions.refusals(5)
    assert (refusal.version, refusal.asked_by) == (broken.version, asked_by)
    assert reason in refusal.reason
