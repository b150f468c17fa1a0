"""What a run leaves for people: its losses as CSV (and for TensorBoard), and a plot of them."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, TextIO

from gradproof.models.checkpoints import write_bytes
from gradproof.models.mistakes import InputError

TRAINING, VALIDATION, CURVES = "training.csv", "validation.csv", "curves.svg"


@dataclass(frozen=True)
class StepRecord:
    """One step: the loss before its update, the norm of its gradient, and when it ended."""

    step: int
    loss: float
    gradient_norm: float
    lr: float
    predictions: int
    seconds: float

    def row(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "loss": self.loss,
            "gradient_norm": self.gradient_norm,
            "lr": self.lr,
            "predictions": self.predictions,
            "seconds": round(self.seconds, 3),
        }


class Table:
    """A CSV file that grows by rows; opened again, it is cut back to the rows before a step."""

    def __init__(self, path: Path, before: int) -> None:
        self.path = path
        kept = [row for row in read_table(path) if int(row["step"]) < before] if path.exists() else []
        self.columns: list[str] = list(kept[0]) if kept else []
        text = "".join(f"{','.join(row.values())}\n" for row in kept)
        write_bytes(path, (f"{','.join(self.columns)}\n{text}" if kept else "").encode())
        self.file: TextIO = open(path, "a", encoding="utf-8", newline="")  # noqa: SIM115 (closed by close)

    def add(self, row: Mapping[str, Any]) -> None:
        if not self.columns:
            self.columns = list(row)
            self.file.write(",".join(self.columns) + "\n")
        self.file.write(",".join(str(row[name]) for name in self.columns) + "\n")

    def flush(self) -> None:
        """Bring the rows to the disk."""
        self.file.flush()
        os.fsync(self.file.fileno())

    def close(self) -> None:
        self.file.close()


def read_table(path: Path) -> list[dict[str, str]]:
    """The whole rows of a table; a last line that was cut short is left out."""
    text = path.read_text(encoding="utf-8")
    lines = text[: text.rfind("\n") + 1].splitlines()
    return list(csv.DictReader(lines))


class Log:
    """The two tables of a run, and TensorBoard's where it is asked for."""

    def __init__(self, folder: Path, before: int, tensorboard: bool) -> None:
        self.training = Table(folder / TRAINING, before)
        self.validation = Table(folder / VALIDATION, before + 1)
        self.board: Any = _board(folder, before) if tensorboard else None

    def step(self, record: StepRecord) -> None:
        self.training.add(record.row())
        if self.board is not None:
            for name in ("loss", "gradient_norm", "lr"):
                self.board.add_scalar(f"training/{name}", getattr(record, name), record.step)

    def evaluation(self, step: int, seconds: float, metrics: Mapping[str, float]) -> None:
        self.validation.add({"step": step, **metrics, "seconds": round(seconds, 3)})
        if self.board is not None:
            for name, value in metrics.items():
                self.board.add_scalar(f"validation/{name}", value, step)

    def flush(self) -> None:
        self.training.flush()
        self.validation.flush()

    def close(self) -> None:
        self.flush()
        self.training.close()
        self.validation.close()
        if self.board is not None:
            self.board.close()


def _board(folder: Path, before: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError("--tensorboard needs the package tensorboard: pip install tensorboard") from None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=before)


def draw_curves(folder: Path) -> Path:
    """Draw the losses of a run, by step, to `curves.svg`: of training, smoothed, and of validation."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    training, validation = read_table(folder / TRAINING), read_table(folder / VALIDATION)
    steps, losses = [int(r["step"]) for r in training], [float(r["loss"]) for r in training]
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "gradproof", "font.size": 10}):
        figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
        try:
            every = max(1, len(steps) // 500)
            axes.plot(
                steps[::every], losses[::every], color="#b8c4d6", linewidth=0.7, label="training, each step"
            )
            axes.plot(
                steps[::every],
                smooth(losses, max(1, len(losses) // 80), every),
                color="#2f5d9b",
                linewidth=1.4,
                label="training, smoothed",
            )
            axes.plot(
                [int(r["step"]) for r in validation],
                [float(r["loss"]) for r in validation],
                color="#c4501b", marker="o", markersize=3.5, linewidth=1.4, label="validation",
            )  # fmt: skip
            axes.set_xlabel("step")
            axes.set_ylabel("loss [nats per prediction]")
            axes.grid(alpha=0.3)
            for side in ("top", "right"):
                axes.spines[side].set_visible(False)
            axes.legend(frameon=False)
            path = folder / CURVES
            figure.savefig(path, metadata={"Date": None})
        finally:
            plt.close(figure)
    return path


def smooth(values: list[float], window: int, every: int = 1) -> list[float]:
    """At each place, or `every` so many, the mean of the last `window` values (fewer at the start).

    >>> smooth([1.0, 3.0, 5.0], 2), smooth([1.0, 3.0, 5.0], 2, 2)
    ([1.0, 2.0, 4.0], [1.0, 4.0])
    """
    ends = range(1, len(values) + 1, every)
    return [fmean(values[max(0, end - window) : end]) for end in ends]
