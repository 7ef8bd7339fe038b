"""The progress bar of a generation, on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnxfp.examples.crafted import Progress


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
