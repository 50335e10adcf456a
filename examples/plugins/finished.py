"""An observer: a line for each metric of each run that ends, in one table beside the runs."""

from pathlib import Path

from textclf import RunFinished


def textclf_event(event):
    if isinstance(event, RunFinished):
        run = Path(event.run)
        with (run.parent / "finished.csv").open("a", encoding="utf-8") as table:
            table.writelines(f"{run.name},{name},{value}\n" for name, value in event.metrics.items())
