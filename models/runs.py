"""Runs: a new one, one that goes on, and a trained model from a run's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gradproof.models.checkpoints import BEST, LAST, load_tensors, read_checkpoint, read_run
from gradproof.models.configuration import Configuration, make_configuration
from gradproof.models.mistakes import InputError
from gradproof.models.processes import Processes, find_device
from gradproof.models.tasks.classification import Classification
from gradproof.models.tasks.language_modelling import LanguageModelling
from gradproof.models.tasks.task import Task, draw
from gradproof.models.tasks.translation import Translation
from gradproof.models.training import Trainer

TASKS: dict[str, type[Any]] = {task.name: task for task in (LanguageModelling, Classification, Translation)}


def make_task(configuration: Configuration, saved: dict[str, Any] | None = None) -> Task:
    """A task with its data read and its model's weights drawn from the seed."""
    torch.manual_seed(draw(configuration.training.seed, "weights"))
    return TASKS[configuration.task](configuration, saved)


def new_run(configuration: Configuration, folder: Path, processes: Processes | None = None) -> Trainer:
    """A trainer in a folder that holds no run yet. Raises InputError where it does."""
    processes = processes or Processes()
    device = find_device(configuration.training.device)
    if (folder / "run.json").exists():
        raise InputError(
            f"{folder} holds a run already: `gradproof train resume {folder}` goes on with it; "
            f"give another --out for a new one"
        )
    trainer = Trainer(make_task(configuration), configuration, folder, device, processes)
    if processes.first:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            trainer.describe_run()
        except OSError as problem:
            raise InputError(f"--out {folder}: nothing can be written there ({problem.strerror})") from None
    processes.wait()
    return trainer


def resumed_run(folder: Path, device: str | None = None, processes: Processes | None = None) -> Trainer:
    """A trainer that goes on with a run, from its last checkpoint.

    Raises InputError for a folder without a run, data that have changed, or a checkpoint that does not fit.
    """
    configuration, saved, digest = read_description(folder)
    task = make_task(configuration, saved)
    if task.data_digest != digest:
        raise InputError(
            f"the data of {folder} have changed since the run began; put them back, or train again"
        )
    where = find_device(device or configuration.training.device)
    trainer = Trainer(task, configuration, folder, where, processes)
    trainer.restore()
    return trainer


def read_description(folder: Path) -> tuple[Configuration, dict[str, Any], str]:
    """A run's configuration, what its model is made from, and the digest of its data."""
    run = read_run(folder)
    tables = {**run["configuration"]}
    task = tables.get("task")
    if task not in TASKS:
        raise InputError(f"{folder}/run.json is of the task {task!r}; there are {', '.join(TASKS)}")
    if missing := [name for name in TASKS[task].saved if name not in run["task"]]:
        raise InputError(f"{folder}/run.json lacks {missing[0]} of a run of {task}; train again")
    return make_configuration(task, tables, {}, f"{folder}/run.json"), run["task"], run["data"]


@dataclass(frozen=True)
class Trained:
    """A trained model: its configuration, what it was made from, and its weights in place."""

    configuration: Configuration
    saved: dict[str, Any]
    model: torch.nn.Module
    device: torch.device
    step: int


def load_trained(path: Path, device: str = "auto") -> Trained:
    """The model of a run's folder (its best weights), or of one checkpoint in it."""
    folder = path.parent if path.suffix == ".safetensors" else path
    if not path.exists():
        raise InputError(
            f"{path}: there is no such checkpoint; give the folder that `gradproof train --out` named"
        )
    configuration, saved, _ = read_description(folder)
    if path == folder:
        path = folder / (BEST if (folder / BEST).exists() else LAST)
    held = read_checkpoint(path)
    model = TASKS[configuration.task].make_model(configuration.model, saved)
    load_tensors(model, held.part("model"), str(path))
    where = find_device(device)
    return Trained(configuration, saved, model.to(where).eval(), where, held.facts["step"])
