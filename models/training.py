"""The trainer: steps, evaluations, checkpoints, and how a run ends or goes on."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gradproof.models.checkpoints import (
    BEST,
    FORMAT,
    LAST,
    RUN,
    TOML,
    Checkpoint,
    load_optimizer,
    load_tensors,
    optimizer_tensors,
    read_checkpoint,
    tensors_of,
    write_bytes,
    write_checkpoint,
    write_json,
)
from gradproof.models.configuration import Configuration
from gradproof.models.diagnosis import find_fault
from gradproof.models.logs import Log, StepRecord, draw_curves
from gradproof.models.mistakes import InputError
from gradproof.models.optimization import learning_rate, make_optimizer, set_learning_rate
from gradproof.models.processes import Processes
from gradproof.models.tasks.task import Batch, Carry, Task, draw

RESULTS = "results.json"


class DivergedError(RuntimeError):
    """The loss or the gradient is no longer finite; the message says where."""


class Listener(Protocol):
    """Who is told how a run goes on."""

    def stepped(self, record: StepRecord) -> None: ...

    def evaluated(self, step: int, metrics: Mapping[str, float]) -> None: ...


@dataclass(frozen=True)
class Standing:
    """How far a run is: steps done, the best validation loss and since how many evaluations it stands."""

    step: int = 0
    best: float | None = None
    best_step: int = 0
    stale: int = 0
    seconds: float = 0.0
    carry: Carry = ()

    def judged(self, loss: float) -> Standing:
        """The standing after an evaluation at this step."""
        if self.best is None or loss < self.best:
            return replace(self, best=loss, best_step=self.step, stale=0)
        return replace(self, stale=self.stale + 1)


@dataclass(frozen=True)
class Outcome:
    """How a run ended: `finished`, `stopped early`, `interrupted`."""

    how: str
    standing: Standing
    results: Mapping[str, Any]


class Trainer:
    """A run of a task in a folder.

    Step n draws its batch and its dropout from the seed and n alone, so that the weights, the optimizer's
    moments and the step are all that a run needs to go on as if it had never stopped.
    """

    def __init__(
        self,
        task: Task,
        configuration: Configuration,
        folder: Path,
        device: torch.device,
        processes: Processes | None = None,
    ) -> None:
        self.task, self.configuration, self.options = task, configuration, configuration.training
        self.folder, self.device = folder, device
        if self.options.threads:
            torch.set_num_threads(self.options.threads)
        self.processes = processes or Processes()
        self.rows = self.processes.share(self.options.batch)
        if (self.rows.stop - self.rows.start) % self.options.accumulate:
            raise InputError(
                f"{self.rows.stop - self.rows.start} rows in each process do not divide into "
                f"{self.options.accumulate} equal parts; choose another --batch or --accumulate"
            )
        task.model.to(device, torch.float64 if self.options.dtype == "float64" else torch.float32)
        self.model: nn.Module = task.model
        self.optimizer = make_optimizer(task.model, self.options)
        self.standing = Standing()
        self.asked_to_stop = self.stopping = False

    # --- a run

    def run(self, listener: Listener | None = None) -> Outcome:
        """Train to the last step, to an early stop, or until a signal asks to stop.

        Raises DivergedError for a loss that is not finite; the last checkpoint stays as it was.
        """
        self.started = time.monotonic() - self.standing.seconds
        if self.processes.size > 1:
            self.model = DistributedDataParallel(self.task.model)
        log = Log(self.folder, self.standing.step, self.options.tensorboard) if self.processes.first else None
        try:
            with self._signals():
                how = self._steps(log, listener)
        finally:
            if log is not None:
                log.close()
        results = self.conclude() if self.processes.first and how != "interrupted" else {}
        self.processes.wait()
        return Outcome(how, self.standing, results)

    def _steps(self, log: Log | None, listener: Listener | None) -> str:
        options = self.options
        if self.standing.step == 0:
            self.evaluate(log, listener)
            self.save(log)
        while self.standing.step < options.steps:
            if options.patience and self.standing.stale >= options.patience:
                return "stopped early"
            record = self.step()
            if log is not None:
                log.step(record)
            if listener is not None:
                listener.stepped(record)
            done = self.standing.step
            due = done % options.evaluate_every == 0 or done == options.steps
            if due:
                self.evaluate(log, listener)
            if due or self.stopping:
                self.save(log)
            if self.stopping and done < options.steps:
                return "interrupted"
        return "finished"

    # --- a step

    def step(self) -> StepRecord:
        """One update; the standing moves on by one."""
        step, options = self.standing.step, self.options
        rate = learning_rate(options, step)
        set_learning_rate(self.optimizer, rate)
        batch = self.task.batch(step)
        count = self.task.count(batch)
        self.task.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        loss, carry = self._accumulate(step, batch, count)
        told = self.processes.total(
            torch.stack((loss.double(), loss.new_tensor(float(self.asked_to_stop)).double()))
        )
        gradients = [p.grad for p in self.task.model.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        mean, stops, size = torch.cat((told, norm.double()[None])).tolist()
        if not (math.isfinite(mean) and math.isfinite(size)):
            raise DivergedError(self._fault(step, batch, count, mean, size))
        if options.clip:
            torch.nn.utils.clip_grads_with_norm_(list(self.task.model.parameters()), options.clip, norm)
        self.optimizer.step()
        self.stopping = stops > 0
        seconds = time.monotonic() - self.started
        self.standing = replace(self.standing, step=step + 1, carry=carry, seconds=seconds)
        return StepRecord(step, mean, size, rate, count, seconds)

    def _accumulate(self, step: int, batch: Batch, count: int) -> tuple[Tensor, Carry]:
        """The gradient of this process's rows, part by part; their share of the loss, what is carried on."""
        parts = self.options.accumulate
        size = (self.rows.stop - self.rows.start) // parts
        total, left = torch.zeros((), device=self.device), list[Carry]()
        for part in range(parts):
            places = slice(self.rows.start + part * size, self.rows.start + (part + 1) * size)
            synchronize = part + 1 == parts or not isinstance(self.model, DistributedDataParallel)
            with nullcontext() if synchronize else self.model.no_sync():  # pyright: ignore
                share, carry = self._loss(step, part, batch, places, count)
                (share * self.processes.size).backward()
            total = total + share.detach()
            left.append(carry)
        return total, tuple(torch.cat(states, 1) for states in zip(*left, strict=True))

    def _loss(self, step: int, part: int, batch: Batch, places: slice, count: int) -> tuple[Tensor, Carry]:
        """What rows add to the mean loss of the batch, with draws of their own."""
        torch.manual_seed(draw(self.options.seed, "step", step, self.processes.rank, part))
        rows = {name: tensor[places].to(self.device) for name, tensor in batch.items()}
        own = slice(places.start - self.rows.start, places.stop - self.rows.start)
        carry = tuple(state[:, own] for state in self.standing.carry)
        with self._precision():
            made = self.task.loss(self.model, rows, carry)
        return made.mean * (made.count / count), made.carry

    def _precision(self) -> Any:
        if self.options.dtype == "bfloat16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    def _fault(self, step: int, batch: Batch, count: int, loss: float, norm: float) -> str:
        """A sentence about a step that is not finite."""
        self.model = self.task.model
        what = f"the loss is {loss}" if not math.isfinite(loss) else f"the norm of the gradient is {norm}"
        where = find_fault(self.model, lambda: self._loss(step, 0, batch, self.rows, count)[0])
        return (
            f"step {step}: {what}. First at fault: {where}. The batch: {self.task.describe(batch)}. "
            f"{self._advice()}"
        )

    def _spoiled(self, loss: float) -> str:
        """A sentence about weights whose loss on the validation part is not finite."""
        where = find_fault(self.task.model, lambda: torch.tensor(self.measured(self.task.evaluate)["loss"]))
        return (
            f"after step {self.standing.step}: the validation loss is {loss}. First at fault: {where}. "
            f"{self._advice()}"
        )

    def _advice(self) -> str:
        """Where the last good checkpoint is, and what to try."""
        last = self.folder / LAST
        kept = f"The last good checkpoint is {last}" if last.exists() else "There is no checkpoint yet"
        return f"{kept}; try a smaller --lr, a longer --warmup, or --clip in a new run"

    # --- evaluations and checkpoints

    def evaluate(self, log: Log | None, listener: Listener | None) -> None:
        """Measure on the validation part; keep the weights if they are the best so far.

        Raises DivergedError for a loss that is not finite: such weights are no checkpoint.
        """
        metrics: dict[str, float] = {"loss": math.inf}
        if self.processes.first:
            metrics = self.measured(self.task.evaluate)
        loss = self.processes.tell(metrics["loss"], self.device)
        if not math.isfinite(loss):
            raise DivergedError(self._spoiled(loss))
        self.standing = self.standing.judged(loss)
        self.standing = replace(self.standing, seconds=time.monotonic() - self.started)
        if log is not None:
            log.evaluation(self.standing.step, self.standing.seconds, metrics)
        if listener is not None:
            listener.evaluated(self.standing.step, metrics)
        if (
            self.processes.first
            and self.standing.best_step == self.standing.step
            and self.standing.stale == 0
        ):
            facts = {"step": self.standing.step, "metrics": metrics}
            write_checkpoint(
                self.folder / BEST, Checkpoint(_prefixed("model", tensors_of(self.task.model)), facts)
            )

    def measured(self, measure: Callable[[torch.device], dict[str, Any]]) -> dict[str, Any]:
        """Metrics of the model without dropout and gradients."""
        self.task.model.eval()
        with torch.no_grad(), self._precision():
            return measure(self.device)

    def describe_run(self) -> None:
        """Write what stays the same all through the run."""
        task, configuration = self.task, self.configuration.anchored()
        write_bytes(self.folder / TOML, configuration.to_toml().encode())
        write_json(
            self.folder / RUN,
            {
                "format": FORMAT,
                "configuration": configuration.to_dict(),
                "data": task.data_digest,
                "task": task.to_dict(),
            },
        )

    def save(self, log: Log | None) -> None:
        """Write the last checkpoint, once the rows before it are on the disk."""
        carry = [self.processes.gather(state, 1) for state in self.standing.carry]
        if not self.processes.first:
            return
        if log is not None:
            log.flush()
        standing = self.standing
        tensors = {
            **_prefixed("model", tensors_of(self.task.model)),
            **_prefixed("optimizer", optimizer_tensors(self.optimizer)),
            **{f"carry.{n}": state for n, state in enumerate(carry)},
        }
        facts = {
            "step": standing.step,
            "best": standing.best,
            "best_step": standing.best_step,
            "stale": standing.stale,
            "seconds": standing.seconds,
        }
        write_checkpoint(self.folder / LAST, Checkpoint(tensors, facts))

    def restore(self) -> None:
        """Go on from the last checkpoint; from the start where the run was killed before the first."""
        path = self.folder / LAST
        if not path.exists():
            return
        held = read_checkpoint(path)
        names = ("step", "best", "best_step", "stale", "seconds")
        if not {*names} <= held.facts.keys():
            raise InputError(f"{path} holds weights alone; a run goes on from what it wrote as {LAST}")
        load_tensors(self.task.model, held.part("model"), str(path))
        load_optimizer(self.optimizer, held.part("optimizer"))
        carry = held.part("carry")
        states = (carry[str(n)][:, self.rows].to(self.device) for n in range(len(carry)))
        self.standing = Standing(**{name: held.facts[name] for name in names}, carry=tuple(states))

    def conclude(self) -> dict[str, Any]:
        """Measure the best weights, write the results and the plot."""
        if (self.folder / BEST).exists():
            load_tensors(
                self.task.model, read_checkpoint(self.folder / BEST).part("model"), str(self.folder / BEST)
            )
        results = {
            "step": self.standing.best_step,
            "validation": self.measured(self.task.evaluate),
            "test": self.measured(self.task.test),
            "seed": self.options.seed,
            "seconds": round(self.standing.seconds, 1),
        }
        write_json(self.folder / RESULTS, results)
        draw_curves(self.folder)
        return results

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Within it, Ctrl-C and SIGTERM stop the run after its step; a second Ctrl-C ends it at once."""

        def stop(number: int, frame: FrameType | None) -> None:
            if self.asked_to_stop and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.asked_to_stop = True

        try:
            before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread, where signals do not arrive
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}
