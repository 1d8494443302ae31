"""Progress for people: bars on a terminal, one line a step elsewhere, all of it on stderr."""

from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from cineclub.cli.output import stderr
from cineclub.ports import StepProgress

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
    """One line for each piece of work, in the order in which they begin."""

    def __init__(self) -> None:
        """Draw nothing yet."""
        self._console = stderr()
        self._bars = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description:<24}"),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]:.16}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Leave the last picture standing; what ended well is complete."""
        if error is None and kind is None:
            self._complete_all()
        self._bars.stop()

    def show(self, label: str, fraction: float, detail: str = "") -> None:
        """Move one line to a fraction; what began before it is complete."""
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
    """Show where a training stands, under the words people use for its step."""
    lines.show(STEPS.get(progress.step, progress.step), progress.fraction, progress.candidate or "")
