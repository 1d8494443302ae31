"""``cineclub``: all commands by name, and errors as one sentence."""

import os
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # before anything loads numpy, as in the worker

import typer

from cineclub.cli import (
    data,
    demonstration,
    drift,
    evaluating,
    inspecting,
    keys,
    mlflow_page,
    models,
    movies,
    promotion,
    serving,
    training,
    version_comparison,
    versions,
)
from cineclub.domain.errors import CineclubError
from cineclub.runtime.process_start import begin_process
from cineclub.runtime.redaction import redacted, sentence_of

app = typer.Typer(
    name="cineclub",
    help="A self-hosted film recommender that proves a new model is better before it goes live.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demonstration.demo,
    "import": data.import_ratings,
    "export": data.export_ratings,
    "train": training.train,
    "serve": serving.serve,
    "recommend": serving.recommend,
    "evaluate": evaluating.evaluate,
    "promote": promotion.promote,
    "rollback": promotion.rollback,
    "reproduce": versions.reproduce,
    "erase": versions.erase,
    "settings": inspecting.settings,
    "doctor": inspecting.doctor,
    "backup": data.backup,
    "restore": data.restore,
    "worker": serving.worker,
    "version": inspecting.version,
}
for name, command in COMMANDS.items():
    app.command(name)(command)

models_group = typer.Typer(
    invoke_without_command=True, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]}
)
models_group.callback()(models.models)
models_group.command("show")(models.show)
models_group.command("compare")(version_comparison.compare)
app.add_typer(models_group, name="models")
mlflow_group = typer.Typer(
    invoke_without_command=True, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]}
)
mlflow_group.callback()(mlflow_page.mlflow)
mlflow_group.command("move")(mlflow_page.move)
app.add_typer(mlflow_group, name="mlflow")
app.add_typer(movies.movies, name="movies")
app.add_typer(keys.keys, name="keys")
app.add_typer(drift.drift, name="drift")


def main() -> None:
    """Run the command line; an error is one sentence on stderr and exit status 1, never a traceback."""
    begin_process(in_background=False)
    try:
        app()
    except CineclubError as error:
        _fail(sentence_of(error))
    except Exception as error:  # noqa: BLE001 - users see no traceback, whatever the error
        _fail(_sentence_of(error))


def _fail(sentence: str) -> None:
    """Print the message, in red on a terminal with colours, and exit with status 1."""
    from cineclub.cli.output import stderr

    stderr().print(f"error: {sentence}", style="red", markup=False, highlight=False)
    sys.exit(1)


def _sentence_of(error: Exception) -> str:
    """Return the message about an error of a library or of the system, or else the file with the details."""
    from pydantic import ValidationError

    from cineclub.runtime.file_errors import explanation_of

    if isinstance(error, ValidationError) and error.title == "Settings":
        from cineclub.cli.inspecting import explain_invalid_settings

        return explain_invalid_settings(error)
    if isinstance(error, OSError) and (explanation := explanation_of(error)):
        return explanation
    return f"unexpected error, details in {_write_details(error)}"


def _write_details(error: Exception) -> Path:
    """Write the traceback to a file in the state folder or else in a temporary folder, and return its path."""
    import tempfile

    now = datetime.now(tz=UTC)
    text = redacted("".join(traceback.format_exception(error)))
    for folder in (_log_folder, lambda: Path(tempfile.mkdtemp(prefix="cineclub-"))):
        try:
            path = folder() / f"error-{now:%Y%m%dT%H%M%S}.log"
            path.write_text(text, encoding="utf-8")
        except OSError:
            continue
        return path
    return Path("nowhere: no folder can be written")


def _log_folder() -> Path:
    """Return the folder of logs in CINECLUB_HOME, created if missing."""
    from pydantic import ValidationError

    from cineclub.settings import Settings

    try:
        folder = Settings().home / "logs"
    except ValidationError as error:
        message = "the settings name no folder"
        raise OSError(message) from error
    folder.mkdir(parents=True, exist_ok=True)
    return folder
