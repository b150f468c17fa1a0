"""The user's own program in floats, at the point of a witness: whether an error is the program's.

A program may raise what it likes: each function says what it answers then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_flatten

from gradproof.numeric.checking.layouts import COTANGENT_LAYOUTS, INPUT_LAYOUTS, Layout, lay_out
from gradproof.numeric.checking.points import Place
from gradproof.numeric.checking.targets import Target
from gradproof.numeric.checking.trials import Pair, Plan, Trial, cotangent_place
from gradproof.numeric.exact.frames import line_of
from gradproof.numeric.exact.numpy_programs import CHANGES, NumpyProgram, gradient_mistake
from gradproof.numeric.exact.programs import Program, TorchProgram
from gradproof.numeric.exact.seeds import all_replayed, replayed


def raises_for_real(target: Target, plan: Plan) -> str | None:
    """The error of the program's backward in floats; None if there is none, `""` if the output has no
    value.
    """
    if not isinstance(target.program, TorchProgram):
        return _raises_in_numpy(target, plan)
    inputs = [_tensor(place) for place in plan.places]
    wanted = [inputs[j] for j in _numbered(plan).values()]
    try:
        with all_replayed(plan.seed), torch.enable_grad():
            outputs = [
                y for y in tree_flatten(target.program.function(*inputs))[0] if isinstance(y, torch.Tensor)
            ]
    except Exception:
        return None
    if not all(torch.isfinite(y).all() for y in outputs):
        return ""
    for output in outputs:
        if not output.requires_grad:
            continue
        cotangent = lay_out(
            torch.ones(output.shape, dtype=output.dtype), COTANGENT_LAYOUTS.get(plan.cotangent_layout)
        )
        try:
            torch.autograd.grad([output], wanted, [cotangent], retain_graph=True, allow_unused=True)
        except Exception as error:
            return _said(error)
    return None


def _said(error: Exception) -> str:
    """An error in one line, with the user's line where it was raised there."""
    line, said = line_of(error), str(error).strip().splitlines()
    where = f", at {line}" if line else ""
    return f"{type(error).__name__}{': ' + said[0] if said else ''}{where}"


def refusal_for_real(target: Target, plan: Plan) -> str | None:
    """The error with which the program's forward refuses a place in floats, or None."""
    try:
        outputs = outputs_for_real(target, plan.places, plan.seed)
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    if isinstance(target.program, TorchProgram) and not all(np.isfinite(y).all() for y in outputs):
        return "the output has no value there"
    return None


def has_no_value_for_real(target: Target, plan: Plan) -> bool:
    """Whether the program's output is NaN throughout at a place, as a variance of one entry is."""
    try:
        outputs = outputs_for_real(target, plan.places, plan.seed)
    except Exception:
        return False
    return bool(outputs) and all(y.size and np.isnan(y).all() for y in outputs)


def outputs_for_real(target: Target, places: Sequence[Place], seed: int) -> list[np.ndarray]:
    """What the program's forward returns in floats: the arrays of real numbers."""
    with all_replayed(seed):
        if isinstance(target.program, TorchProgram):
            made = tree_flatten(target.program.function(*map(_tensor, places)))[0]
            tensors = [y for y in made if isinstance(y, torch.Tensor) and y.is_floating_point()]
            return [y.detach().to(torch.float64).numpy() for y in tensors]
        program: Any = target.program
        found = program.forward(*(p.data if p.reals is None else p.reals.astype(np.float64) for p in places))
    return [np.asarray(y, dtype=np.float64) for y in (found if isinstance(found, tuple | list) else (found,))]


def differs_for_real(target: Target, trial: Trial) -> str | None:
    """Whether the program's backward returns something else in floats than on exact numbers: it may look at
    what it is given, or at how often it was called. What rounding alone explains is none.
    """
    plan = trial.plan
    if not trial.floats or plan.kind in _NOT_COMPARED or plan.twice:
        return None
    real = _gradients(target, plan, 0.0)
    if real is None:
        return None
    for pair, exact in trial.floats.items():
        found = real.get((pair.output, pair.wrt))
        if found is None or found.shape != exact.shape or not exact.size:
            continue
        least = _least(trial, pair)
        apart = _apart(exact, found, least)
        if apart > _loose(target, plan, trial):
            for moved in (_gradients(target, plan, step) for step in _STEPS):
                again = None if moved is None else moved.get((pair.output, pair.wrt))
                if again is None or again.shape != found.shape or _apart(found, again, least) * 8 > apart:
                    return None
            with double_by_default():
                again = _gradients(target, plan, 0.0)
            own = None if again is None else again.get((pair.output, pair.wrt))
            if (
                own is not None
                and own.shape == exact.shape
                and _apart(exact, own, least) <= _loose(target, plan, trial)
            ):
                continue
            return f"run in floats, the backward returns something else for {target.wanted[pair.wrt].name}"
    return None


def differs_when_called_again(target: Target, plan: Plan) -> str | None:
    """Whether the very first backward of all returns something else than the second, in floats."""
    first, second = (_gradients(target, plan, 0.0) for _ in range(2))
    coarse = min((place.dtype.itemsize for place in plan.places if place.reals is not None), default=8) < 8
    for (output, wrt), found in ({} if first is None or second is None else first).items():
        again = (second or {}).get((output, wrt))
        shapes = again is not None and again.shape == found.shape
        if again is None or not shapes or (found.size and _apart(found, again) > (1e-2 if coarse else 1e-9)):
            return f"called again, the backward returns something else for {target.wanted[wrt].name}"
    return None


@contextmanager
def double_by_default() -> Iterator[None]:
    """Within, floats that a program makes of integers and booleans are of double precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


Gradients = dict[tuple[int, int], np.ndarray]
"""By output and input."""
_NOT_COMPARED = ("kink", "kinks", "empty", "ranks")
"""Points that rounding leaves: the sides of ties, and where there is nothing."""
_STEPS = (1e-12, -1e-10)
"""By how much inputs are moved to tell what rounding does."""


def _apart(a: np.ndarray, b: np.ndarray, least: float = 0.0) -> float:
    """The largest difference relative to the largest entry, or to `least`; 0 where a float has no value or
    overflows.
    """
    with np.errstate(all="ignore"):
        if not np.all(np.isfinite(a)) or not np.all(np.isfinite(b)):
            return 0.0
        scale = max(float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)), least)
        return float(np.abs(a - b).max()) / scale if scale else 0.0


def _least(trial: Trial, pair: Pair) -> float:
    """What counts as nothing in a gradient, by the sizes of the output and of the input."""
    place = [p for p in trial.plan.places if p.reals is not None and p.wanted][pair.wrt]
    output = trial.values.get(pair.output)
    if output is None or place.reals is None or not place.reals.size:
        return 0.0
    size = max(float(np.abs(place.floats).max()), 1e-3)
    made = float(np.abs(output).max(initial=0)) if np.all(np.isfinite(output)) else 0.0
    return 1e-4 * (made + 1) * (4096 if trial.plan.cotangent == "large" else 1) / size


def _loose(target: Target, plan: Plan, trial: Trial) -> float:
    sizes = [place.dtype.itemsize for place in plan.places if place.reals is not None]
    if min(sizes, default=8) == 2:
        return 0.1
    coarse = min(sizes, default=8) == 4 or any("_to_copy" in name for name in trial.used)
    if coarse:
        return 1e-2
    return 1e-5 if any(float(np.float32(number)) == number for number in trial.constants) else 1e-9


def _gradients(target: Target, plan: Plan, step: float) -> Gradients | None:
    """The gradients by the program in floats, by output and input; None if it does not run."""
    if not isinstance(target.program, TorchProgram):
        return _gradients_in_numpy(target, plan, step)
    inputs = [_moved(place, step) for place in plan.places]
    asked = {k: inputs[j] for k, j in _numbered(plan).items()}
    found: Gradients = {}
    try:
        with all_replayed(plan.seed), torch.enable_grad():
            before = torch.random.get_rng_state()
            leaves = tree_flatten(target.program.function(*inputs))[0]
            outputs = [y for y in leaves if isinstance(y, torch.Tensor) and y.is_floating_point()]
            for k, y in enumerate(outputs):
                if not y.requires_grad:
                    continue
                place = cotangent_place(plan, k, tuple(y.shape))
                u = _laid(place, y.dtype, COTANGENT_LAYOUTS.get(plan.cotangent_layout) if y.ndim else None)
                made = torch.autograd.grad(
                    [y], list(asked.values()), [u.requires_grad_(plan.graph)], retain_graph=True,
                    create_graph=plan.graph, allow_unused=True,
                )  # fmt: skip
                for i, g in zip(asked, made, strict=True):
                    if g is not None:
                        found[k, i] = g.detach().to(torch.float64).numpy()
            if plan.kind == "layout" and not torch.equal(before, torch.random.get_rng_state()):
                return None  # random numbers fill memory in its own order
    except Exception:
        return None
    return found


def _gradients_in_numpy(target: Target, plan: Plan, step: float) -> Gradients | None:
    program: Any = target.program
    if not isinstance(program, NumpyProgram):
        return None
    inputs = [
        p.data.copy()
        if isinstance(p.data, np.ndarray)
        else p.data
        if p.reals is None
        else _moved(p, step).detach().numpy()
        for p in plan.places
    ]
    try:
        with replayed(plan.seed), np.errstate(all="ignore"):
            output = program.forward(*inputs)
            if isinstance(output, tuple | list):
                return None
            place = cotangent_place(plan, 0, np.shape(output))
            u = _laid(place, torch.float64, COTANGENT_LAYOUTS.get(plan.cotangent_layout)).numpy()
            gradients = program.vjp(u.astype(np.asarray(output).dtype)[()] if not u.ndim else u, *inputs)
    except Exception:
        return None
    gradients = list(gradients) if isinstance(gradients, tuple | list) else [gradients]
    if len(gradients) != len(inputs):
        return None
    numbered = _numbered(plan)
    return {(0, i): np.asarray(gradients[j], dtype=np.float64) for i, j in numbered.items()
            if gradients[j] is not None}  # fmt: skip


def _numbered(plan: Plan) -> dict[int, int]:
    """For each input whose gradient is asked for, by its number among those wanted, its place in the plan."""
    wanted = [j for j, place in enumerate(plan.places) if place.reals is not None and place.wanted]
    return {k: wanted[k] for k in plan.asked}


def is_finite_for_real(
    program: Program, plan: Plan, output: int, wrt: int, cotangent: Place, spot: tuple[int, ...]
) -> bool:
    """Whether the program's gradient in floats has a value at an entry where the exact one has none."""
    if not isinstance(program, TorchProgram) or cotangent.reals is None:
        return False
    inputs = [_tensor(replace(place, dtype=torch.float64)) for place in plan.places]
    wanted = [x for x, p in zip(inputs, plan.places, strict=True) if p.reals is not None and p.wanted]
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(plan.seed)
            leaves = tree_flatten(program.function(*inputs))[0]
            outputs = [y for y in leaves if isinstance(y, torch.Tensor) and y.is_floating_point()]
            y = outputs[output]
            u = torch.from_numpy(cotangent.reals.astype(np.float64)).to(y.dtype)
            (found,) = torch.autograd.grad([y], [wanted[wrt]], [u], allow_unused=True)
            return found is not None and bool(torch.isfinite(found[spot]))
    except Exception:  # not to be told
        return False


def _raises_in_numpy(target: Target, plan: Plan) -> str | None:
    program: Any = target.program
    inputs = [p.data if p.reals is None else p.reals.astype(np.float64) for p in plan.places]
    try:
        output = program.forward(*inputs)
    except Exception:
        return None
    parts = output if isinstance(output, tuple | list) else (output,)
    if not all(np.isfinite(part).all() for part in parts):
        return ""
    given = _cotangents_of_one(parts) if isinstance(output, tuple | list) else [np.ones_like(output)]
    raised = (_raises_for(program, plan, inputs, cotangent) for cotangent in given)
    return next((said for said in raised if said is not None), None)


def _cotangents_of_one(parts: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Cotangents of several outputs: 1 throughout, for all of them and for each alone."""
    real = [k for k, part in enumerate(parts) if np.asarray(part).dtype.kind == "f"]
    chosen = [real, *([k] for k in real)] if len(real) > 1 else [real]
    return [
        tuple(
            None if k not in real else np.ones_like(part) if k in some else np.zeros_like(part)
            for k, part in enumerate(parts)
        )
        for some in chosen
    ]


def _raises_for(program: Any, plan: Plan, inputs: Sequence[Any], cotangent: Any) -> str | None:
    """What the backward of a pair of NumPy functions does wrong for a cotangent, besides numbers."""
    copies = [x.copy() if isinstance(x, np.ndarray) else x for x in inputs]
    try:
        found = program.vjp(cotangent, *copies)
    except Exception as error:
        return _said(error)
    for position, (before, after) in enumerate(zip(inputs, copies, strict=True)):
        if isinstance(before, np.ndarray) and not np.array_equal(before, after, equal_nan=True):
            return f"{CHANGES} input {position}"
    return gradient_mistake(found, [None if p.reals is None else p.shape for p in plan.places])


def _tensor(place: Place) -> Any:
    return _moved(place, 0.0)


def _moved(place: Place, step: float) -> Any:
    """What a program is given for a place, each number times `1 + step`."""
    if place.reals is None:
        return place.data.clone() if isinstance(place.data, torch.Tensor) else place.data
    moved = np.asarray(place.reals * Fraction(1 + step), dtype=object)
    scaled = replace(place, reals=moved) if step else place
    floats = _laid(scaled, place.dtype, INPUT_LAYOUTS.get(place.layout))
    return floats.requires_grad_(place.wanted and place.asked)


def _laid(place: Place, dtype: torch.dtype, layout: Layout | None) -> torch.Tensor:
    assert place.reals is not None
    return lay_out(torch.tensor(place.floats, dtype=dtype), layout)
