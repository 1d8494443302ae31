"""`cineclub train` where there is nothing to learn from."""

from command_line import cineclub

from cineclub import bootstrap
from cineclub.settings import Settings


def test_training_without_ratings_fails_with_a_sentence(connected: Settings) -> None:
    """The command brings its own worker, ends with 1, says what is missing, and promotes nothing."""
    shown = cineclub(connected.home, "train", "--json")
    assert shown.returncode == 1
    assert shown.stdout == ""
    assert "cineclub import" in shown.stderr
    assert "Traceback" not in shown.stderr
    jobs = bootstrap.training_jobs(connected)
    assert [training.status for training in jobs.recent(10)] == ["failed"]
    assert not jobs.is_worker_alive()
    assert bootstrap.promotions(connected).newest() is None


def test_an_unknown_model_is_refused_before_anything_is_queued(connected: Settings) -> None:
    """The message names the models that there are."""
    jobs = bootstrap.training_jobs(connected)
    before = jobs.recent(10)
    shown = cineclub(connected.home, "train", "--models", "ease,nonsense")
    assert shown.returncode == 1
    assert "nonsense" in shown.stderr
    assert "ease" in shown.stderr
    assert jobs.recent(10) == before


def test_recommending_without_ratings_says_what_to_do(connected: Settings) -> None:
    """Nobody is shown an empty table."""
    shown = cineclub(connected.home, "recommend", "42", "--json")
    assert shown.returncode == 1
    assert shown.stdout == ""
    assert "import" in shown.stderr


def test_models_says_when_there_is_none(connected: Settings) -> None:
    """An empty registry is a sentence with the next step, and no error."""
    shown = cineclub(connected.home, "models")
    assert (shown.returncode, shown.stdout, shown.stderr) == (
        0,
        "no version was registered yet: run cineclub train\n",
        "",
    )
