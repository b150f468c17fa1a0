"""A program and its backward, run once: on given numbers, in given systems, with what it met on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch.autograd import forward_ad
from torch.autograd.graph import _engine_run_backward
from torch.utils._pytree import tree_flatten

import gradproof.numeric.exact.operators  # noqa: F401 (its rows register themselves)
from gradproof.numeric.exact.branches import Branches
from gradproof.numeric.exact.constants import Constants
from gradproof.numeric.exact.duals import Dual, Shape
from gradproof.numeric.exact.execution import Execution
from gradproof.numeric.exact.interruptions import Interruption, noticed
from gradproof.numeric.exact.numpy_bridge import NumpyBridge
from gradproof.numeric.exact.scalars import EscapeGuard
from gradproof.numeric.exact.seeds import all_replayed
from gradproof.numeric.exact.storages import ExactTensor, new_tensor
from gradproof.numeric.exact.values import (
    Numbers,
    Value,
)

Layout = Callable[[Shape, torch.dtype], torch.Tensor]
"""A way to lay a tensor out: a tensor on the device `meta` of a shape, with strides."""


class ForwardError(Exception):
    """The forward raised: the inputs are not accepted."""


class BackwardError(Exception):
    """The forward returned and the backward raised."""


@dataclass(frozen=True)
class Argument:
    """An input of a run: exact numbers and how they are laid out, or data that is passed as it is."""

    value: Value | None = None
    data: Any = None
    dtype: torch.dtype = torch.float64
    layout: Layout | None = None
    wanted: bool = True
    """Whether the gradient with respect to it is asked for."""
    direction: int = 0
    """Which of the tangents are its own."""


@dataclass
class Settings:
    """What a run computes in, and what it records."""

    numbers: Numbers
    branches: Branches = field(default_factory=Branches)
    constants: Constants = field(default_factory=Constants)
    seed: int = 0
    """Of the generators of PyTorch, NumPy and Python, so that what is drawn at random is data."""
    twice: bool = False
    """Whether the backward is run twice, and the second time counts."""
    graph: bool = False
    """Whether the backward is run so that it can be derived again, which it may notice."""
    jointly: bool = False
    """Whether rules of forward mode get the tangents of all inputs at once."""
    still: bool = False
    """Whether the backward is run without tangents: a first derivative needs none."""
    pushes: bool = True
    """Whether rules of forward mode are run."""
    cut: int | None = None
    """The operator of the forward, by its number, whose results have no tangent: a path that is left out."""
    forward: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """The operators of the forward and their lines, where `cut` is a number."""
    custom: bool = True
    """Whether a backward of the user's own takes part; told where `cut` is a number."""
    used: dict[str, str] = field(default_factory=dict[str, str])
    """The operators met, and whether each was executed, decomposed or transcribed."""


Draw = Callable[[int, Shape], Argument]
"""Draws the cotangent of an output, given its position and shape."""


@dataclass(frozen=True)
class Evaluated:
    """The outputs of a run and, for each of them that depends on inputs, its cotangent and the claimed
    gradients.
    """

    outputs: tuple[Value, ...]
    cotangents: tuple[Value | None, ...]
    claims: tuple[tuple[Value | None, ...] | None, ...]
    seconds: tuple[SecondOrder, ...] = ()
    intended: tuple[tuple[Value | None, ...] | None, ...] | None = None
    """What the gradients are declared to be, where they are not meant to be the derivative."""
    pushed: tuple[tuple[Value | None, ...], ...] = ()
    """For each input, the tangents of the outputs by rules of forward mode, for the input's own tangent; or a
    single entry for the tangents of all of them."""
    together: tuple[Value | None, ...] | None = None
    """The claimed gradients for the cotangents of all outputs at once, where there are several."""
    overwritten: bool = False
    """Whether the backward wrote over an output."""

    @property
    def last(self) -> int:
        """The last output with a cotangent."""
        return max((k for k, u in enumerate(self.cotangents) if u is not None), default=-1)

    def rest(self, asked: int) -> Value | None:
        """The gradient for the cotangents of all outputs at once, less those for each but the last: that of
        the last again.
        """
        assert self.together is not None
        found = self.together[asked]
        for claims in self.claims[: self.last]:
            taken = None if claims is None else claims[asked]
            if taken is not None:
                found = -taken if found is None else found - taken
        return found


@dataclass(frozen=True)
class SecondOrder:
    """A claimed gradient of an output with respect to an input, paired with its own cotangent and derived.

    `claims` are its gradients with respect to the inputs, then with respect to the cotangent of the output.
    """

    output: int
    wrt: int
    gradient: Value
    cotangent: Value
    claims: tuple[Value | None, ...]


class Program(Protocol):
    """A function with a backward of its own, in PyTorch or NumPy."""

    def evaluate(
        self, settings: Settings, arguments: Sequence[Argument], draw: Draw, order: int = 1
    ) -> Evaluated:
        """Run forward and backward; raises `ForwardError`, `BackwardError` or an `Interruption`."""
        ...


@dataclass(frozen=True)
class TorchProgram:
    """A function of tensors that PyTorch's autograd can derive, by rules of its own or of the user's."""

    function: Callable[..., Any]
    reference: Callable[..., Any] | None = None
    """Its forward, in place of operators that are opaque."""
    declared: Callable[..., Any] | None = None
    """`declared(cotangent, *inputs)`: what the gradients are meant to be."""

    def evaluate(
        self, settings: Settings, arguments: Sequence[Argument], draw: Draw, order: int = 1
    ) -> Evaluated:
        inputs = [_tensor(argument) for argument in arguments]
        wanted = [
            x for x, a in zip(inputs, arguments, strict=True) if isinstance(x, ExactTensor) and a.wanted
        ]
        run = Execution(settings.numbers, settings.branches, settings.constants)
        run.bridge = NumpyBridge(run, self.function)
        run.cut, run.forward = settings.cut, settings.forward
        if self.reference is not None:
            reference = self.reference
            run.opaque = lambda: reference(*inputs)
        try:
            with all_replayed(settings.seed), torch.enable_grad():
                outputs = self._forward(run, inputs)
                before = [y.storage_.value for y in outputs]
                settings.branches.forward = settings.numbers.forward = False
                graph = order > 1 or settings.graph
                run.still = settings.still and order == 1
                if settings.cut is not None:
                    settings.custom = any(map(has_custom_backward, outputs))
                cotangents = [self._cotangent(k, y, draw) for k, y in enumerate(outputs)]
                given = tuple(None if u is None else u.read() for u in cotangents)  # a backward may write
                if settings.twice:
                    for k, (y, u) in enumerate(zip(outputs, cotangents, strict=True)):
                        if u is not None:
                            self._backward(run, [y], wanted, [_again(u)], graph, f"backward {k}")
                used = [u if u is None or order > 1 else _again(u) for u in cotangents]
                claims = [
                    None if u is None else self._backward(run, [y], wanted, [u], graph, f"backward {k}")
                    for k, (y, u) in enumerate(zip(outputs, used, strict=True))
                ]
                together = self._backward_together(run, outputs, wanted, cotangents)
                seconds = self._second_order(run, wanted, cotangents, claims, draw) if order > 1 else ()
                intended = self._intended(run, inputs, arguments, cotangents)
                pushed = self._push_forward(run, arguments, outputs, settings) if settings.pushes else ()
        finally:
            settings.used.update(run.used.operators)
        return Evaluated(
            tuple(y.read() for y in outputs),
            given,
            tuple(None if c is None else tuple(None if g is None else g.read() for g in c) for c in claims),
            tuple(seconds),
            intended,
            pushed,
            together,
            any(y.storage_.value is not value for y, value in zip(outputs, before, strict=True)),
        )

    def _forward(self, run: Execution, inputs: list[Any]) -> list[ExactTensor]:
        try:
            with noticed(), run, EscapeGuard(run):
                result = self.function(*inputs)
        except Interruption:
            raise
        except Exception as error:  # whatever the program raises
            raise ForwardError(f"{type(error).__name__}: {error}") from error
        leaves = [leaf for leaf in tree_flatten(result)[0] if isinstance(leaf, torch.Tensor)]
        return [run.lift(leaf) for leaf in leaves if leaf.is_floating_point()]

    def _cotangent(self, position: int, output: ExactTensor, draw: Draw) -> ExactTensor | None:
        if not output.requires_grad:
            return None
        argument = draw(position, tuple(output.shape))
        assert argument.value is not None
        return _exact(argument.value, output.dtype, argument.layout, argument.wanted)

    def _backward(
        self,
        run: Execution,
        outputs: list[ExactTensor],
        wanted: list[Any],
        cotangents: list[ExactTensor],
        graph: bool,
        phase: str,
    ) -> tuple[ExactTensor | None, ...]:
        run.branches.enter(phase)
        try:
            with noticed(), run, EscapeGuard(run):
                found = _gradients(outputs, cotangents, graph, wanted)
        except Interruption:
            raise
        except Exception as error:  # whatever the program raises
            raise BackwardError(f"{type(error).__name__}: {error}") from error
        return tuple(None if g is None else run.lift(g) for g in found)

    def _backward_together(
        self,
        run: Execution,
        outputs: list[ExactTensor],
        wanted: list[Any],
        cotangents: list[ExactTensor | None],
    ) -> tuple[Value | None, ...] | None:
        """The gradients where all outputs have a cotangent at once; None where fewer than two have one."""
        pairs = [(y, u) for y, u in zip(outputs, cotangents, strict=True) if u is not None]
        if len(pairs) < 2 or self.declared is not None:
            return None
        given = [_again(u) for _, u in pairs]
        found = self._backward(run, [y for y, _ in pairs], wanted, given, False, "together")
        return tuple(None if g is None else g.read() for g in found)

    def _intended(
        self,
        run: Execution,
        inputs: list[Any],
        arguments: Sequence[Argument],
        cotangents: list[ExactTensor | None],
    ) -> tuple[tuple[Value | None, ...] | None, ...] | None:
        """The declared gradients of the inputs that are asked for."""
        if self.declared is None:
            return None
        asked = [k for k, a in enumerate(arguments) if a.value is not None and a.wanted]
        numbers = [k for k, a in enumerate(arguments) if a.value is not None]
        found: list[tuple[Value | None, ...] | None] = []
        for cotangent in cotangents:
            if cotangent is None:
                found.append(None)
                continue
            run.branches.enter("declared")
            with noticed(), run, EscapeGuard(run), torch.no_grad():
                declared = self.declared(cotangent, *inputs)
            gradients = declared if isinstance(declared, tuple | list) else (declared,)
            slots = list(range(len(inputs))) if len(gradients) == len(inputs) else numbers
            by_input = dict(zip(slots, gradients, strict=False))
            found.append(tuple(None if by_input.get(k) is None else run.value_of(by_input[k]) for k in asked))
        return tuple(found)

    def _push_forward(
        self, run: Execution, arguments: Sequence[Argument], outputs: list[ExactTensor], settings: Settings
    ) -> tuple[tuple[Value | None, ...], ...]:
        """Tangents by forward mode, where the program has rules for it (`jvp`) of its own."""
        if not has_forward_mode(outputs) or any(y.numel() == 0 for y in outputs):
            return ()
        numbers = [k for k, a in enumerate(arguments) if a.value is not None and a.wanted]
        moved = [numbers] if settings.jointly else [[k] for k in numbers]
        return tuple(self._push(run, arguments, group, settings.seed) for group in moved)

    def _push(
        self, run: Execution, arguments: Sequence[Argument], moved: Sequence[int], seed: int
    ) -> tuple[Value | None, ...]:
        """The tangents of the outputs where some inputs move and the others have no tangent: for the random
        numbers that the forward drew.
        """
        inputs = [_tensor(argument) for argument in arguments]
        run.branches.enter("forward mode")
        tangents = {k: _tangent(arguments[k]) for k in moved}
        try:
            with all_replayed(seed), noticed(), forward_ad.dual_level(), run, EscapeGuard(run):
                for k, tangent in tangents.items():
                    inputs[k] = forward_ad.make_dual(inputs[k], tangent)
                leaves = [y for y in tree_flatten(self.function(*inputs))[0] if isinstance(y, torch.Tensor)]
                pushed = [forward_ad.unpack_dual(y).tangent for y in leaves if y.is_floating_point()]
                return tuple(None if t is None else run.lift(t).read() for t in pushed)
        except Interruption:
            raise
        except Exception as error:  # whatever the program raises
            raise BackwardError(f"in forward mode, {type(error).__name__}: {error}") from error

    def _second_order(
        self,
        run: Execution,
        wanted: list[Any],
        cotangents: list[ExactTensor | None],
        claims: list[tuple[ExactTensor | None, ...] | None],
        draw: Draw,
    ) -> list[SecondOrder]:
        found: list[SecondOrder] = []
        for k, (cotangent, gradients) in enumerate(zip(cotangents, claims, strict=True)):
            for i, gradient in enumerate(gradients or ()):
                if gradient is None or cotangent is None:
                    continue
                paired = draw(-1 - i, tuple(gradient.shape))
                assert paired.value is not None
                second = _exact(paired.value, gradient.dtype, paired.layout, False)
                if gradient.requires_grad:
                    derived = self._backward(
                        run, [gradient], [*wanted, cotangent], [second], False, f"second {k} {i}"
                    )
                else:
                    derived = (None,) * (len(wanted) + 1)
                values = tuple(None if g is None else g.read() for g in derived)
                found.append(SecondOrder(k, i, gradient.read(), second.read(), values))
        return found


def has_forward_mode(outputs: Sequence[torch.Tensor]) -> bool:
    """Whether functions with a `jvp` of their own took part in the outputs, and none without: there PyTorch
    refuses forward mode.
    """
    rules = [f.jvp is not torch.autograd.Function.jvp for y in outputs for f in _functions_in(y)]
    return bool(rules) and all(rules)


def has_custom_backward(output: torch.Tensor) -> bool:
    """Whether an `autograd.Function` or an operator of the user's own took part in an output."""
    return any(True for _ in _functions_in(output))


def _functions_in(output: torch.Tensor) -> Iterator[type[torch.autograd.Function]]:
    seen: set[Any] = set()
    pending = [output.grad_fn]
    while pending:
        node: Any = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        made_by = getattr(node, "_forward_cls", None)
        if made_by is not None:
            yield made_by
        pending.extend(entry[0] for entry in node.next_functions)


def tangent_value(value: Value, direction: int) -> Value:
    """The tangent of a value in a direction, as numbers of its own."""
    duals = [
        dual if dual.tangent is None else Dual(dual.tangent[min(direction, len(dual.tangent) - 1)])
        for dual in value.duals
    ]
    return Value(value.numbers, tuple(duals))


def _tangent(argument: Argument) -> ExactTensor:
    assert argument.value is not None
    moved = tangent_value(argument.value, argument.direction)
    return _exact(moved, argument.dtype, argument.layout, False)


def _again(tensor: ExactTensor) -> ExactTensor:
    """The same numbers in memory of their own, laid out alike: a backward may write into its cotangent."""
    return new_tensor(tensor.read(), tensor.dtype, tensor.requires_grad, tensor.meta)


def _tensor(argument: Argument) -> Any:
    if argument.value is None:
        return argument.data.clone() if isinstance(argument.data, torch.Tensor) else argument.data
    return _exact(argument.value, argument.dtype, argument.layout, argument.wanted)


def _gradients(
    outputs: Sequence[Any], cotangents: Sequence[Any], graph: bool, wanted: Sequence[Any]
) -> Sequence[Any]:
    """As torch.autograd.grad, which would switch the guard off for all of the backward: the engine itself."""
    given = (tuple(outputs), tuple(cotangents), True, graph)
    try:
        return _engine_run_backward(*given, tuple(wanted), allow_unreachable=True, accumulate_grad=False)
    except RuntimeError as error:
        if "use_reentrant" not in str(error):
            raise
    for tensor in wanted:  # such a checkpoint runs only where gradients are accumulated in the leaves
        tensor.grad = None
    _engine_run_backward(*given, (), allow_unreachable=True, accumulate_grad=True)
    found = [tensor.grad for tensor in wanted]
    for tensor in wanted:
        tensor.grad = None
    return found


def _exact(value: Value, dtype: torch.dtype, layout: Layout | None, requires_grad: bool) -> ExactTensor:
    like = None if layout is None else layout(value.shape, dtype)
    return new_tensor(value, dtype, requires_grad, like)
