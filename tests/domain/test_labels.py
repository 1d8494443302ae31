"""Labels of films: what people write is settled once, and comes back from its document as it was."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cineclub.domain.movies.attributes import AttributeTable
from cineclub.domain.movies.similarity import MovieSimilarity
from cineclub.domain.ratings.labels import (
    MAX_LABELS,
    MAX_NAME_CHARACTERS,
    Label,
    clean_name,
    folded,
    label_document,
    labels_in,
    settled_labels,
)
from cineclub.domain.ratings.log import Movie, RatingLog, RatingScale, SnapshotIdentity

ANY_LABEL = st.builds(
    Label,
    kind=st.sampled_from(["director", "keyword", "mood", "genre", "Bad Kind", ""]),
    name=st.text(max_size=30),
    weight=st.floats(allow_nan=True) | st.floats(0.01, 1),
    since=st.none() | st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)


@given(st.lists(ANY_LABEL, max_size=30))
def test_settled_labels_are_clean_and_settled_for_good(labels: list[Label]) -> None:
    """Each name of a kind is there once, without control characters; to settle again changes nothing."""
    settled = settled_labels(labels)
    names = [(label.kind, folded(label.name)) for label in settled]
    assert len(set(names)) == len(names)
    assert all(label.name and label.name.isprintable() and 0 < label.weight <= 1 for label in settled)
    assert settled_labels(settled) == settled


@given(st.lists(ANY_LABEL, max_size=30))
def test_a_document_gives_the_labels_back(labels: list[Label]) -> None:
    """Of each kind in its order; kinds stand together in a document."""
    settled = settled_labels(labels)
    restored = labels_in(label_document(settled))
    assert sorted(restored, key=repr) == sorted(settled, key=repr)
    assert label_document(restored) == label_document(settled)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner),
        max_leaves=20,
    )
)
def test_no_document_breaks_the_reading(document: object) -> None:
    """The labels of the owner's view may be any JSON."""
    assert all(isinstance(label, Label) for label in labels_in(document))


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("  Michael \t Mann ", "Michael Mann"),
        ("Łódź\x00\x1b[31m", "Łódź [31m"),
        ("黒澤 明", "黒澤 明"),
        ("\u202eevil", "evil"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("\x00\x01", ""),
        ("x" * (MAX_NAME_CHARACTERS + 1), ""),
    ],
)
def test_names_are_cleaned(given_name: str, expected: str) -> None:
    """Control characters go, other alphabets stay, and HTML is text like any other."""
    assert clean_name(given_name) == expected


def test_spellings_are_joined_and_kinds_are_not() -> None:
    """The first spelling stays with the larger weight and the earlier date; a keyword is no director."""
    early, late = datetime(2001, 1, 1, tzinfo=UTC), datetime(2005, 1, 1, tzinfo=UTC)
    labels = [
        Label("keyword", "Heist", 0.2, late),
        Label("keyword", "HEIST", 0.7, early),
        Label("director", "heist"),
    ]
    assert settled_labels(labels) == (Label("keyword", "Heist", 0.7, early), Label("director", "heist"))


def test_of_too_many_labels_the_heaviest_stay() -> None:
    """Ten thousand labels of one film are bounded."""
    labels = [Label("tag", f"tag {nth}", 0.5 if nth % 2 else 0.9) for nth in range(10 * MAX_LABELS)]
    settled = settled_labels(labels)
    assert len(settled) == MAX_LABELS
    assert {label.weight for label in settled} == {0.9}


def test_a_label_that_is_known_later_does_not_count_earlier() -> None:
    """What somebody said of a film after a moment is not known at that moment."""
    since = datetime(2010, 6, 1, tzinfo=UTC)
    movies = [
        Movie(1, "1", "Heat", None, (), labels=(Label("tag", "heist", 1.0, since),)),
        Movie(2, "2", "Ronin", None, (), labels=(Label("tag", "heist"),)),
    ]
    before = [movie.known_at(since - timedelta(days=1)) for movie in movies]
    assert MovieSimilarity(AttributeTable.of(movies)).of(0)[1] == 1
    assert MovieSimilarity(AttributeTable.of(before)).of(0)[1] == 0


def test_labels_of_hardly_any_weight_are_similar_to_nothing() -> None:
    """A weight that single precision cannot hold makes no score that is no number."""
    movies = [Movie(nth, str(nth), "Heat", None, (), labels=(Label("tag", "heist", 1e-60),)) for nth in (1, 2)]
    assert MovieSimilarity(AttributeTable.of(movies)).of(0).tolist() == [0, 0]


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "heist", "since": "0001-01-01T00:00+05:00"},
        {"name": "heist", "since": "yesterday"},
        {"name": "heist", "since": 7},
    ],
)
def test_a_date_that_is_none_leaves_the_label(entry: dict[str, object]) -> None:
    """Views hold what their owner writes."""
    assert labels_in({"tag": [entry]}) == (Label("tag", "heist"),)


def test_a_weight_that_is_none_is_no_label() -> None:
    """Neither a number that no float can hold."""
    assert labels_in({"tag": [{"name": "heist", "weight": 10**400}, {"name": "heist", "weight": "0.5"}]}) == ()


def test_the_hash_of_a_snapshot_is_over_the_labels_too() -> None:
    """Films in any order give one hash; without any label it is that of the ratings alone."""
    ids = np.array([1, 2])
    scale = RatingScale(0.5, 5.0)
    log = RatingLog.from_columns(ids, ids, np.array([4, 3], np.float32), np.array([10, 20]), scale)
    plain = [Movie(nth, str(nth), "a film", 1995, ()) for nth in (1, 2)]
    labelled = [plain[0], Movie(2, "2", "a film", 1995, (), labels=(Label("director", "Michael Mann"),))]
    of_ratings = SnapshotIdentity.of(log).content_sha256
    assert SnapshotIdentity.of(log, plain).content_sha256 == of_ratings
    assert SnapshotIdentity.of(log, labelled).content_sha256 != of_ratings
    assert SnapshotIdentity.of(log, labelled[::-1]) == SnapshotIdentity.of(log, labelled)
