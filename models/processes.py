"""The processes of a run: one, or those that torchrun started."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass

import torch
import torch.distributed as distributed
from torch import Tensor

from gradproof.models.mistakes import InputError


@dataclass(frozen=True)
class Processes:
    """How many processes there are, and which of them this is."""

    size: int = 1
    rank: int = 0

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, rows: int) -> slice:
        """This process's part of the rows."""
        if rows % self.size:
            raise InputError(f"a batch of {rows} does not divide among {self.size} processes")
        part = rows // self.size
        return slice(self.rank * part, (self.rank + 1) * part)

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def gather(self, rows: Tensor, axis: int) -> Tensor:
        """The rows of all processes along an axis."""
        if self.size == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.size)]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts, axis)

    def tell(self, value: float, device: torch.device) -> float:
        """The first process's value, in every process."""
        if self.size == 1:
            return value
        told = torch.tensor(value, dtype=torch.float64, device=device)
        distributed.broadcast(told, 0)
        return told.item()

    def wait(self) -> None:
        if self.size > 1:
            distributed.barrier()


def start_processes(device: torch.device) -> Processes:
    """Join the processes that torchrun started, by nccl on GPUs and gloo on CPUs."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Processes(distributed.get_world_size(), distributed.get_rank())


def end_processes() -> None:
    """Leave the other processes."""
    with suppress(ValueError, AssertionError):
        if distributed.is_initialized():
            distributed.destroy_process_group()


def find_device(name: str) -> torch.device:
    """The device of a name; `auto` is a GPU of NVIDIA's where there is one, else the CPU.

    Raises InputError for one that is not there.
    """
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"there is no device {name}; --device takes auto, cpu, cuda or cuda:1") from None
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"the kernels run on cpu and cuda, not on {name}; --device takes auto, cpu or cuda")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        number = local if device.index is None else device.index
        if number >= count:
            there = f"{count} there" if count else "none there"
            raise InputError(f"there is no device {name}: of CUDA devices, {there}; use --device auto or cpu")
        return torch.device("cuda", number)
    return device
