"""The progress bars of a generation and of an evaluation, on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnxfp import EvaluationProgress, Progress


@contextmanager
def generation_bar() -> Iterator[Callable[[Progress], None]]:
    """Show examples kept, loss and time left while the block runs; silent where stderr is not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("crafting"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[kept]} examples, loss {task.fields[loss]}, left"),
        TimeRemainingColumn(compact=True),
    )
    console = Console(stderr=True)
    bar = Bar(*columns, console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task("", total=1.0, kept="0", loss="-")

    def show(progress: Progress) -> None:
        # Not before the first step: until then a passphrase may be asked for on the same terminal.
        if not bar.live.is_started:
            bar.start()
        in_batch = progress.batch_size * progress.step / progress.n_steps
        bar.update(
            task,
            completed=(progress.n_kept + in_batch) / progress.n_wanted,
            kept=f"{progress.n_kept}/{progress.n_wanted}",
            loss=f"{progress.loss:.2f}",
        )

    try:
        yield show
    finally:
        bar.stop()


@contextmanager
def evaluation_bar() -> Iterator[Callable[[EvaluationProgress], None]]:
    """Show models asked, the last one and the time left while the block runs; silent where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("asking"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]}{task.fields[last]}, left"),
        TimeRemainingColumn(compact=True),
    )
    console = Console(stderr=True)
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, failed="", last="")

        def show(progress: EvaluationProgress) -> None:
            bar.update(
                task,
                total=progress.n_total,
                completed=progress.n_done,
                failed=f"{progress.n_failed} failed, " if progress.n_failed else "",
                last=progress.name or "starting",
            )

        yield show
