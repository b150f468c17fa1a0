"""The user's own program in floats, at the point of a witness: whether an error is the program's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_flatten

from gradproof.numeric.checking.layouts import COTANGENT_LAYOUTS, INPUT_LAYOUTS, lay_out
from gradproof.numeric.checking.points import Place
from gradproof.numeric.checking.targets import Target
from gradproof.numeric.checking.trials import Plan
from gradproof.numeric.exact.numpy_programs import gradient_mistake
from gradproof.numeric.exact.programs import TorchProgram


def raises_for_real(target: Target, plan: Plan) -> str | None:
    """The error of the program's backward in floats; None if there is none, `""` if the output has no
    value.
    """
    if not isinstance(target.program, TorchProgram):
        return _raises_in_numpy(target, plan)
    inputs = [_tensor(place) for place in plan.places]
    wanted = [
        x for x, place in zip(inputs, plan.places, strict=True) if place.reals is not None and place.wanted
    ]
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(plan.seed)
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
            return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return None


def refusal_for_real(target: Target, plan: Plan) -> str | None:
    """The error with which the program's forward refuses a place in floats, or None."""
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.seed)
            if isinstance(target.program, TorchProgram):
                made = tree_flatten(target.program.function(*(_tensor(place) for place in plan.places)))[0]
                numbers = [y for y in made if isinstance(y, torch.Tensor) and y.is_floating_point()]
                if not all(torch.isfinite(y).all() for y in numbers):
                    return "the output has no value there"
            else:
                program: Any = target.program
                program.forward(
                    *(p.data if p.reals is None else p.reals.astype(np.float64) for p in plan.places)
                )
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return None


def gradients_for_real(target: Target, plan: Plan) -> list[torch.Tensor] | None:
    """The gradients of the sum of the first output, by the program in floats; None if it does not run."""
    if not isinstance(target.program, TorchProgram):
        return None
    inputs = [_tensor(place) for place in plan.places]
    wanted = [
        x for x, place in zip(inputs, plan.places, strict=True) if place.reals is not None and place.wanted
    ]
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(plan.seed)
            outputs = [
                y for y in tree_flatten(target.program.function(*inputs))[0] if isinstance(y, torch.Tensor)
            ]
            first = next(y for y in outputs if y.requires_grad)
            found = torch.autograd.grad([first], wanted, [torch.ones_like(first)], allow_unused=True)
    except Exception:
        return None
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, wanted, strict=True)]


def _raises_in_numpy(target: Target, plan: Plan) -> str | None:
    program: Any = target.program
    inputs = [p.data if p.reals is None else p.reals.astype(np.float64) for p in plan.places]
    try:
        output = program.forward(*inputs)
    except Exception:
        return None
    parts = output if isinstance(output, tuple) else (output,)
    if not all(np.isfinite(part).all() for part in parts):
        return ""
    cotangent = tuple(map(np.ones_like, output)) if isinstance(output, tuple) else np.ones_like(output)
    try:
        found = program.vjp(cotangent, *inputs)
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return gradient_mistake(found, [None if p.reals is None else p.shape for p in plan.places])


def _tensor(place: Place) -> Any:
    if place.reals is None:
        return place.data.clone() if isinstance(place.data, torch.Tensor) else place.data
    floats = torch.from_numpy(place.reals.astype(np.float64)).to(place.dtype)
    return lay_out(floats, INPUT_LAYOUTS.get(place.layout)).requires_grad_(place.wanted)
