"""Checkpoints: one safetensors file each, written whole or not at all, beside the run's description in JSON.

A run's folder holds `run.json` (configuration, vocabulary, digest of the data), `configuration.toml` (for
`--config`), `last.safetensors` (weights, optimizer, what the next step needs) and `best.safetensors` (the
weights with the lowest validation loss). A file is written under another name, flushed, and renamed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gradproof.models.mistakes import InputError

RUN, LAST, BEST, TOML = "run.json", "last.safetensors", "best.safetensors", "configuration.toml"
FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a checkpoint by name, and what else there is to know."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names start with `prefix.`, without it."""
        return {
            n.removeprefix(f"{prefix}."): t for n, t in self.tensors.items() if n.startswith(f"{prefix}.")
        }


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all, whenever the process is killed."""
    beside = path.with_name(f".{path.name}.part")
    with open(beside, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON, whole or not at all."""
    write_bytes(path, (json.dumps(data, ensure_ascii=False, indent=1) + "\n").encode())


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; its facts are JSON in the header of the file."""
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    facts = json.dumps({"format": FORMAT, **checkpoint.facts}, ensure_ascii=False)
    write_bytes(path, save(tensors, metadata={"gradproof": facts}))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint. Raises InputError where there is none, or it is cut short or something else."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise InputError(f"{path}: there is no such checkpoint")
    try:
        with safe_open(path, framework="pt") as file:
            facts = (file.metadata() or {}).get("gradproof")
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except SafetensorError as problem:
        raise InputError(
            f"{path} is cut short or no safetensors file ({problem}); use another checkpoint of the "
            "run, or train again"
        ) from None
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {problem.strerror or problem}") from None
    if facts is None:
        raise InputError(f"{path} was not written by gradproof train: its header says nothing of a run")
    return Checkpoint(tensors, json.loads(facts))


def read_run(folder: Path) -> dict[str, Any]:
    """The description of a run. Raises InputError where the folder holds none."""
    path = folder / RUN
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(made, dict) or not {"configuration", "task", "data", "format"} <= made.keys():
            raise ValueError
        if not isinstance(made["configuration"], dict) or not isinstance(made["task"], dict):
            raise ValueError
    except (FileNotFoundError, NotADirectoryError):
        found = f"there is no {RUN} in it" if folder.is_dir() or not folder.exists() else "it is a file"
        raise InputError(f"{folder} holds no run: {found}; give the folder that --out named") from None
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {problem.strerror or problem}") from None
    except ValueError:
        raise InputError(f"{path} is cut short or not what gradproof train writes; train again") from None
    if made["format"] != FORMAT:
        raise InputError(f"{path} has the format {made['format']}, this version of gradproof reads {FORMAT}")
    return made


# --- models and optimizers as named tensors


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name; what two names share is there once."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def load_tensors(model: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Fill a model. Raises InputError where names or shapes are not those of the model."""
    own = tensors_of(model)
    missing, beside = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or beside:
        what = f"it lacks {missing[0]}" if missing else f"it holds {beside[0]}, which the model lacks"
        raise InputError(f"{where} is of another model: {what}; use a checkpoint of this configuration")
    for name, tensor in own.items():
        if tensor.shape != tensors[name].shape:
            raise InputError(
                f"{where} is of another model: {name} has the shape {list(tensors[name].shape)}, "
                f"expected {list(tensor.shape)}; use a checkpoint of this configuration"
            )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's moments by the number of the parameter and their name."""
    state = optimizer.state_dict()["state"]
    return {f"{n}.{name}": t for n, held in state.items() for name, t in held.items() if t is not None}


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Fill an optimizer with its moments."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, what = name.partition(".")
        state.setdefault(int(number), {})[what] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
