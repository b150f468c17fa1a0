"""`gradproof train`: flags from the table of options, a run with a progress bar, and how it ended."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self, get_type_hints

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gradproof.models.configuration import (
    DEFAULTS,
    TASKS,
    TrainingOptions,
    make_configuration,
    read_configuration,
)
from gradproof.models.mistakes import InputError, within_memory

if TYPE_CHECKING:
    from gradproof.models.logs import StepRecord
    from gradproof.models.training import Outcome, Trainer

INTERRUPTED = 130
WHOLE = 8
"""Labels of which the whole confusion matrix is printed."""

HELP = {
    "char-lm": "Train a language model: predict the next character, or word.\n\n"
    "DATA is a text file, a folder with train, valid and test files (the layout of the Penn Treebank), or "
    "datasets:NAME. Without it: the documentation of the language that Python carries with it.",
    "classify": "Train a classifier of texts.\n\n"
    "DATA is a CSV, TSV or JSONL file with a column of texts and one of labels, a folder with train, "
    "valid and test "
    "files of that kind, or datasets:NAME. Without it: the language of names of countries, "
    "languages, scripts and "
    "currencies, from the CLDR data in Babel.",
    "translate": "Train a model from one text to another.\n\n"
    "DATA is a TSV, CSV or JSONL file of pairs, a folder with train, valid and test files of that kind, or "
    "datasets:NAME. Without it: written dates of many languages to ISO dates, from the CLDR data in Babel.",
}


class CommandError(ValueError):
    """What was asked for cannot be done; the message says why and what to do."""


def make_command(task: str, run: Callable[..., int]) -> Callable[..., int]:
    """A command whose flags are the options of a task; `run(task, given)` gets those that were given."""

    def command(**values: Any) -> int:
        return run(task, {name: value for name, value in values.items() if value is not None})

    parameters = [
        _parameter("data", str | None, typer.Argument(metavar="DATA", help="What to train on.")),
        _parameter("out", Path | None, typer.Option(help="The folder of the run. Default: runs/TASK-MODEL.")),
        _parameter("config", Path | None, typer.Option(help="A TOML file; flags go before it.")),
    ]
    model, data = TASKS[task]
    for part in (model, data, TrainingOptions):
        hints = get_type_hints(part)
        for option in fields(part):
            if option.name == "data":
                continue
            default = (
                DEFAULTS[task].get(option.name, option.default) if part is TrainingOptions else option.default
            )
            text = f"{option.metadata['help']} Default: {_shown(default)}."
            parameters.append(_parameter(option.name, hints[option.name] | None, typer.Option(help=text)))
    command.__signature__ = inspect.Signature(parameters, return_annotation=int)  # pyright: ignore
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__name__, command.__doc__ = task.replace("-", "_"), HELP[task]
    return command


def _parameter(name: str, kind: Any, what: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, what]
    )


def _shown(default: Any) -> str:
    return {"True": "yes", "False": "no", "": "none"}.get(f"{default}", f"{default}")


def train(task: str, given: Mapping[str, Any], console: Console) -> int:
    """Train as the flags say; the exit status."""
    given = dict(given)
    out, config = given.pop("out", None), given.pop("config", None)
    try:
        tables = read_configuration(config, task) if config is not None else {}
        configuration = make_configuration(task, tables, given, str(config))
        _check_packages(task, configuration.training.tensorboard)
        from gradproof.models.processes import end_processes, find_device, start_processes
        from gradproof.models.runs import new_run

        folder = out or Path("runs") / f"{task}-{configuration.model.model}"
        processes = start_processes(find_device(configuration.training.device))
        try:
            with within_memory():
                return _run(new_run(configuration, folder, processes), console)
        finally:
            end_processes()
    except InputError as problem:
        raise CommandError(str(problem)) from None


def _check_packages(task: str, tensorboard: bool) -> None:
    """Whether what a run needs is there, before it begins."""
    needed = {"torch": "gradproof[train]", "safetensors": "gradproof[train]"}
    if task == "translate":
        needed["sacrebleu"] = "gradproof[train]"
    if tensorboard:
        needed["tensorboard"] = "tensorboard"
    for name, install in needed.items():
        if find_spec(name) is None:
            raise InputError(f"this needs the package {name}, which is not there: pip install '{install}'")


def resume(folder: Path, device: str | None, console: Console) -> int:
    """Go on with a run; the exit status."""
    from gradproof.models.processes import end_processes, find_device, start_processes
    from gradproof.models.runs import read_description, resumed_run

    try:
        configuration, _, _ = read_description(folder)
        processes = start_processes(find_device(device or configuration.training.device))
        try:
            with within_memory():
                return _run(resumed_run(folder, device, processes), console)
        finally:
            end_processes()
    except InputError as problem:
        raise CommandError(str(problem)) from None


def _run(trainer: Trainer, console: Console) -> int:
    from gradproof.models.training import DivergedError

    first = trainer.processes.first
    if first:
        _introduce(trainer, console)
    try:
        with Display(trainer.options.steps, trainer.task.unit, console) as display:
            outcome = trainer.run(display if first else None)
    except DivergedError as problem:
        raise CommandError(str(problem)) from None
    except OSError as problem:
        raise CommandError(
            f"{problem.filename or trainer.folder} cannot be written ({problem.strerror}); when it can, "
            f"go on with: gradproof train resume {trainer.folder}"
        ) from None
    if first:
        _conclude(trainer, outcome, console)
    return INTERRUPTED if outcome.how == "interrupted" else 0


def _introduce(trainer: Trainer, console: Console) -> None:
    options = trainer.configuration
    count = sum(p.numel() for p in trainer.task.model.parameters())
    many = f", {trainer.processes.size} processes" if trainer.processes.size > 1 else ""
    console.print(
        f"{options.task} {options.model.model}: {count:,} parameters, seed {options.training.seed}, "
        f"{trainer.device}, {options.training.dtype}{many}; {trainer.task.summary}; in {trainer.folder}",
        markup=False, soft_wrap=True,
    )  # fmt: skip


def _conclude(trainer: Trainer, outcome: Outcome, console: Console) -> None:
    standing, folder = outcome.standing, trainer.folder
    if outcome.how == "interrupted":
        console.print(
            f"stopped after step {standing.step} of {trainer.options.steps}, everything saved. "
            f"Go on with: gradproof train resume {folder}",
            markup=False, soft_wrap=True,
        )  # fmt: skip
        return
    early = "stopped early, " if outcome.how == "stopped early" else ""
    shown = _metrics(outcome.results["validation"])
    console.print(
        f"{early}{standing.step} steps in {standing.seconds:.0f} s. Best at step "
        f"{standing.best_step}: {shown} "
        f"(validation, seed {trainer.options.seed})",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    if whole := outcome.results["test"]:
        part = whole.get("part", "test")
        console.print(f"{part}: {_metrics(whole)}", markup=False, soft_wrap=True)
        if "confusion" in whole:
            _print_confusion(whole, console)
    from gradproof.models.logs import CURVES

    console.print(
        f"curves: {folder / CURVES}; use it with: gradproof generate {folder}", markup=False, soft_wrap=True
    )


def _print_confusion(results: Mapping[str, Any], console: Console) -> None:
    """The whole matrix of few labels; of many the mistakes that were made most often."""
    from rich.table import Table

    labels, counts = results["labels"], results["confusion"]
    if len(labels) <= WHOLE:
        table = Table("true \\ predicted", *labels, "F1", box=None, pad_edge=False, header_style="bold")
        for label, row in zip(labels, counts, strict=True):
            table.add_row(label, *map(str, row), f"{results['f1_by_label'][label]:.3f}")
        console.print(table)
        return
    pairs = [
        (n, labels[true], labels[taken])
        for true, row in enumerate(counts)
        for taken, n in enumerate(row)
        if n and true != taken
    ]
    often = sorted(pairs, reverse=True)[:WHOLE]
    shown = ", ".join(f"{true} taken for {taken} ({n})" for n, true, taken in often)
    console.print(f"most often mistaken: {shown or 'nothing'}", markup=False, soft_wrap=True)


def _metrics(metrics: Mapping[str, Any]) -> str:
    numbers = {n: v for n, v in metrics.items() if isinstance(v, int | float)}
    return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in numbers.items())


class Display:
    """A progress bar on a terminal, a line for each evaluation; off a terminal the lines alone."""

    def __init__(self, steps: int, unit: str, console: Console) -> None:
        self.console, self.unit = console, unit
        columns = (
            TextColumn("loss {task.fields[loss]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True),
        )
        self.bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.task = self.bar.add_task("", total=steps, loss="", rate="")
        self.loss = MovingMean()
        self.rate = Rate()

    def __enter__(self) -> Self:
        self.bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.__exit__(kind, problem, trace)

    def stepped(self, record: StepRecord) -> None:
        self.loss.add(record.loss)
        speed = self.rate.after(record.predictions, record.seconds)
        rate = f"{speed:,.0f} {self.unit}/s" if speed else ""
        self.bar.update(self.task, completed=record.step + 1, loss=f"{self.loss.value:.4f}", rate=rate)

    def evaluated(self, step: int, metrics: Mapping[str, float]) -> None:
        self.rate.pause()
        training = f"training loss {self.loss.value:.4f}, " if self.loss.weight else ""
        speed = f", {self.rate.speed:,.0f} {self.unit}/s" if self.rate.speed else ""
        self.console.print(
            f"step {step}: {training}validation {_metrics(metrics)}{speed}", markup=False, soft_wrap=True
        )


class MovingMean:
    """A mean in which each value counts 0.95 of the next; the first ones count no more than that.

    >>> mean = MovingMean()
    >>> mean.add(4.0), mean.value, mean.add(2.0), round(mean.value, 4)
    (None, 4.0, None, 2.9744)
    """

    def __init__(self) -> None:
        self.total = self.weight = 0.0

    def add(self, value: float) -> None:
        self.total, self.weight = 0.95 * self.total + value, 0.95 * self.weight + 1

    @property
    def value(self) -> float:
        return self.total / self.weight


class Rate:
    """Predictions in a second over the last steps; a pause (an evaluation) does not count."""

    def __init__(self) -> None:
        self.before: float | None = None
        self.predictions, self.seconds = MovingMean(), MovingMean()

    def after(self, predictions: int, seconds: float) -> float:
        if self.before is not None and seconds > self.before:
            self.predictions.add(predictions)
            self.seconds.add(seconds - self.before)
        self.before = seconds
        return self.speed

    @property
    def speed(self) -> float:
        return self.predictions.value / self.seconds.value if self.seconds.weight else 0.0

    def pause(self) -> None:
        self.before = None
