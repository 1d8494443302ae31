"""Progress on stderr: bars on a terminal, one line per step elsewhere."""

from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from cineclub.cli.output import stderr
from cineclub.domain.training.records import StepProgress

STEPS = {
    "load_ratings": "load ratings",
    "filter_users_and_movies": "filter users and films",
    "evaluate_models": "evaluate models",
    "grid_search_svd": "grid search SVD",
    "compare_with_production": "compare with production",
    "register_model": "register model",
    "promote_if_better": "promote if better",
}


class ProgressLines:
    """One line for each step, in the order in which they begin."""

    def __init__(self) -> None:
        """Create the bars; nothing is drawn yet."""
        self._console = stderr()
        self._bars = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description:<24}", markup=False),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]:.16}", markup=False),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        """Start to draw."""
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Stop to draw; all lines are complete unless an error ended the work."""
        if error is None and kind is None:
            self._complete_all()
        self._bars.stop()

    def show(self, label: str, fraction: float, detail: str = "") -> None:
        """Set one line to a fraction; a new line completes the lines before it."""
        if label not in self._tasks:
            self._complete_all()
            self._tasks[label] = self._bars.add_task(label, total=1.0, detail=detail)
            if not self._console.is_terminal:
                self._console.print(f"{label} ...", markup=False, highlight=False)
        self._bars.update(self._tasks[label], completed=fraction, detail=detail)

    def _complete_all(self) -> None:
        """Fill every bar."""
        for task in self._tasks.values():
            self._bars.update(task, completed=1.0, detail="")


def show_step(lines: ProgressLines, progress: StepProgress) -> None:
    """Show the progress of a training, with its step in words."""
    lines.show(STEPS.get(progress.step, progress.step), progress.fraction, progress.candidate or "")
