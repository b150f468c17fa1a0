"""The program run in floats at the example, before anything is concluded: what no gradient check can take.

A program that raises, returns no tensor, changes its inputs, differs between two runs with one seed, or is
not differentiable is told so in one sentence, with the user's line.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from gradproof.numeric.checking.targets import Example, Target, TargetError
from gradproof.numeric.checking.trials import Plan, Runner
from gradproof.numeric.exact.frames import line_of, user_line
from gradproof.numeric.exact.programs import BackwardError, ForwardError, TorchProgram
from gradproof.numeric.exact.reals import RoundedAwayError
from gradproof.numeric.exact.seeds import all_replayed, replayed
from gradproof.numeric.exact.values import AmbiguousError, UndecidableError

ROUNDING = {torch.float64: 1e-9}
"""How far two runs may be apart, relative to the largest entry: threads add in another order."""
COARSE = 1e-3
READERS = ("numpy", "tolist", "item", "__array__", "__float__", "__int__", "__bool__")
"""Methods of a tensor after which its numbers are no longer followed by autograd."""


class ExampleError(TargetError):
    """The program raises at the example inputs."""


def inspect_example(target: Target, runner: Runner, plan: Plan) -> None:
    """Run the program at the example inputs; raises TargetError for what cannot be checked.

    An error that floats alone meet (a module in single precision, inputs in double) is none: `plan` is the
    example in exact numbers.
    """
    fn = target.subject
    try:
        if isinstance(target.program, TorchProgram):
            _inspect_torch(target, target.program.function, fn, runner.seed)
        else:
            _inspect_numpy(target, fn[0] if isinstance(fn, tuple) else fn, runner.seed)
    except ExampleError as error:
        if _raises_exactly(runner, plan):
            raise TargetError(str(error)) from error.__cause__


def _raises_exactly(runner: Runner, plan: Plan) -> bool:
    try:
        runner.look(plan)
    except ForwardError:
        return True
    except (AmbiguousError, UndecidableError, BackwardError, RoundedAwayError):
        return False
    return False


# PyTorch


def _inspect_torch(target: Target, function: Callable[..., Any], fn: Any, seed: int) -> None:
    owner = getattr(fn, "__self__", None)
    if isinstance(owner, type) and issubclass(owner, torch.autograd.Function) and _lacks_backward(owner):
        raise TargetError(f"{target.name} has no backward: there is nothing to check ({_place_of(owner)})")
    if not any(e.wanted for e in target.examples if e.is_number):
        raise TargetError(f"no input of {target.name} requires a gradient; name one with wrt")
    given = [_copy(example) for example in target.examples]
    outputs = _results(target, fn, _call(target, function, given, seed))
    changed = [e for e, x in zip(target.examples, given, strict=True) if _differs(e.value, x)]
    if changed:
        line = _where_changed(target, function, changed[0], seed)
        raise TargetError(
            f"{target.name} changes its input '{changed[0].name}' in place, at {line}; a gradient by what is "
            f"overwritten has no meaning: check a function that works on a copy "
            f"(`lambda x: {target.name}(x.clone())`)"
        )
    again = _call(target, function, [_copy(example) for example in target.examples], seed)
    others = [leaf for leaf in tree_flatten(again)[0] if isinstance(leaf, torch.Tensor)]
    if len(others) != len(outputs) or any(map(_apart, outputs, others)):
        where = _where_differing(target, function, seed)
        raise TargetError(
            f"{target.name} differs between two runs with the same seed{where}; "
            "draw random numbers from the default generators, which are replayed, and keep no state"
        )
    if not any(y.requires_grad for y in outputs if y.is_floating_point()):
        _refuse_constant(target, function, fn, seed)


def _lacks_backward(owner: type[torch.autograd.Function]) -> bool:
    base = torch.autograd.Function
    return owner.backward is base.backward and owner.vjp is base.vjp


def _copy(example: Example) -> Any:
    """The example's value; a number is no leaf, so that a program that writes into it is not stopped."""
    if isinstance(example.value, torch.Tensor):
        own = example.value.detach().clone()
        return own.requires_grad_().clone() if example.is_number and example.wanted else own
    return example.value.copy() if isinstance(example.value, np.ndarray) else example.value


def _call(target: Target, function: Callable[..., Any], given: Sequence[Any], seed: int) -> Any:
    try:
        with all_replayed(seed), torch.enable_grad():
            return function(*given)
    except Exception as error:
        raise ExampleError(_raised(f"{target.name} raises at the example inputs", error)) from error


def _raised(what: str, error: Exception) -> str:
    line, said = line_of(error), str(error).strip().splitlines()
    where = f", at {line}" if line else ""
    return f"{what}{where}: {type(error).__name__}{': ' + said[0] if said else ''}"


def _results(target: Target, fn: Any, result: Any) -> list[torch.Tensor]:
    """The tensors that a program returned; raises TargetError if none of them holds real numbers."""
    leaves = tree_flatten(result)[0]
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    if any(leaf.is_complex() for leaf in tensors):
        raise TargetError(
            f"{target.name} returns complex numbers; only real ones can be checked ({_place_of(fn)})"
        )
    if not tensors and any(isinstance(leaf, np.ndarray) for leaf in leaves):
        raise TargetError(
            f"{target.name} returns a NumPy array, of which autograd knows nothing; give the pair "
            f"(forward, vjp) ({_place_of(fn)})"
        )
    if not any(leaf.is_floating_point() for leaf in tensors):
        found = ", ".join(dict.fromkeys(map(_kind, leaves))) or "None"
        raise TargetError(
            f"{target.name} returns {found}, and no tensor of floating-point numbers that has a gradient "
            f"({_place_of(fn)})"
        )
    return tensors


def _kind(leaf: Any) -> str:
    if isinstance(leaf, torch.Tensor):
        return f"a tensor of {str(leaf.dtype).removeprefix('torch.')}"
    return "None" if leaf is None else f"a {type(leaf).__name__}"


def _place_of(fn: Any) -> str:
    """Where a function is written."""
    function: Any = fn[0] if isinstance(fn, tuple) else fn
    owner = getattr(function, "__self__", function)
    if isinstance(owner, type) and issubclass(owner, torch.autograd.Function):
        function = owner.forward
    elif hasattr(function, "named_parameters"):
        function = type(function).forward
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return "a built-in function"
    return f"defined at {Path(code.co_filename).name}:{code.co_firstlineno}"


def _differs(before: Any, after: Any) -> bool:
    if isinstance(before, torch.Tensor):
        return not torch.equal(before.detach().nan_to_num(), after.detach().nan_to_num())
    return isinstance(before, np.ndarray) and not np.array_equal(
        before, after, equal_nan=before.dtype.kind == "f"
    )


def _apart(y: torch.Tensor, z: torch.Tensor) -> bool:
    """Whether two results differ by more than the order of their sums explains."""
    if y.shape != z.shape or y.dtype != z.dtype:
        return True
    if not y.is_floating_point():
        return not torch.equal(y, z)
    a, b = y.detach().double(), z.detach().double()
    if not torch.equal(a.isfinite(), b.isfinite()):
        return True
    a, b = a[a.isfinite()], b[b.isfinite()]
    scale = float(a.abs().max()) if a.numel() else 0.0
    return bool(((a - b).abs() > ROUNDING.get(y.dtype, COARSE) * scale).any())


# Where it happens: the program is run again, and every operator is looked at


class _Watch(TorchDispatchMode):
    """The line at which the memory of a tensor is written to first."""

    def __init__(self, watched: torch.Tensor) -> None:
        super().__init__()
        self.watched, self.line, self.found = watched, "a line outside of PyTorch", False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        storages = {w.untyped_storage().data_ptr() for w in _written(func, args)}
        if not self.found and self.watched.untyped_storage().data_ptr() in storages:
            self.found, self.line = True, user_line()
        return result


def _written(func: Any, args: Any) -> Iterator[torch.Tensor]:
    for argument, value in zip(func._schema.arguments, args, strict=False):
        if argument.alias_info is not None and argument.alias_info.is_write:
            yield from (leaf for leaf in tree_flatten(value)[0] if isinstance(leaf, torch.Tensor))


def _where_changed(target: Target, function: Callable[..., Any], example: Example, seed: int) -> str:
    given = [_copy(e) for e in target.examples]
    value = given[target.examples.index(example)]
    if not isinstance(value, torch.Tensor):
        return "a line outside of PyTorch"
    with _Watch(value) as watch:
        _call(target, function, given, seed)
    return watch.line


class _Log(TorchDispatchMode):
    """The results of all operators with their lines."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[tuple[str, list[torch.Tensor]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        leaves = [x.detach().clone() for x in tree_flatten(result)[0] if isinstance(x, torch.Tensor)]
        if not func._schema.name.startswith("aten::empty"):
            self.entries.append((user_line(), leaves))
        return result


def _where_differing(target: Target, function: Callable[..., Any], seed: int) -> str:
    logs: list[_Log] = []
    for _ in range(2):
        given = [_copy(e) for e in target.examples]
        with _Log() as log:
            _call(target, function, given, seed)
        logs.append(log)
    for (line, first), (_, second) in zip(logs[0].entries, logs[1].entries, strict=False):
        if len(first) != len(second) or any(map(_apart, first, second)):
            return f", first at {line}"
    return ""


class _Leaving(TorchFunctionMode):
    """The first line at which numbers leave PyTorch, and whether something is detached on purpose."""

    def __init__(self) -> None:
        super().__init__()
        self.line: str | None = None
        self.detached = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if self.line is None and name in READERS:
            self.line = user_line()
        self.detached |= name in ("detach", "detach_") or not torch.is_grad_enabled()
        return func(*args, **(kwargs or {}))


def _refuse_constant(target: Target, function: Callable[..., Any], fn: Any, seed: int) -> None:
    """No output requires a gradient: an error, but where it is detached, which the check judges."""
    given = [_copy(e) for e in target.examples]
    with _Leaving() as leaving:
        _call(target, function, given, seed)
    if leaving.line is None and leaving.detached and not hasattr(fn, "__self__"):
        return
    where = f"its numbers leave PyTorch at {leaving.line}" if leaving.line else _place_of(fn)
    raise TargetError(
        f"{target.name} is not differentiable: nothing that it returns depends on an input for autograd "
        f"({where})"
    )


# NumPy


def _inspect_numpy(target: Target, forward: Any, seed: int) -> None:
    def call(what: str, function: Any, *given: Any) -> Any:
        try:
            with replayed(seed), np.errstate(all="ignore"):
                return function(*given)
        except Exception as error:
            raise ExampleError(_raised(what, error)) from error

    def arrays(result: Any) -> list[Any]:
        return list(result) if isinstance(result, tuple | list) else [result]

    what = f"{target.name} raises at the example inputs"
    given = [_copy(example) for example in target.examples]
    outputs = arrays(call(what, forward, *given))
    wrong = [y for y in outputs if not isinstance(y, np.ndarray | np.generic | int | float)]
    kinds = {np.asarray(y).dtype.kind for y in outputs if y is not None}
    if wrong or "f" not in kinds or "c" in kinds:
        found = (
            f"a {type(wrong[0]).__name__}" if wrong else "complex numbers" if "c" in kinds else "no floats"
        )
        raise TargetError(
            f"{target.name} returns {found}; an array of floats is expected ({_place_of(forward)})"
        )
    for example, value in zip(target.examples, given, strict=True):
        if _differs(example.value, value):
            raise TargetError(
                f"{target.name} changes its input '{example.name}' in place ({_place_of(forward)}); "
                "work on a copy of it"
            )
    again = arrays(call(what, forward, *(_copy(example) for example in target.examples)))
    if any(_apart(torch.as_tensor(y), torch.as_tensor(z)) for y, z in zip(outputs, again, strict=True)):
        raise TargetError(
            f"{target.name} differs between two runs with the same seed ({_place_of(forward)}); "
            "keep no state, and draw random numbers from NumPy's or Python's own generator"
        )
