"""The definition of an operation as the eager PyTorch that a careful user writes by hand: the baseline.

Each definition becomes an expression of elementary operators, which autograd differentiates; nothing is
shared with the kernels. Care is taken where a careful user would take it: sums of products are `einsum`, a
quotient `N_k / sum_j N_j` computes `N` once, exponentials in it or under a logarithm are shifted by the
largest, entries at fixed positions come from one `unbind`, what occurs twice is computed once, and what no
output needs is left out.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from benchmarks.sharing import share
from benchmarks.writing import Writer
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import Entry, Expr, Parameter, Tensor, number, rewrite, walk
from gradproof.symbolic.operation import Definition, Operation, Program, Recurrence, flat, step_axis

RESERVED = {"torch", "math", "dtype", "t"}


def eager(operation: Operation) -> Callable[..., Any]:
    """The baseline of an operation, taking its inputs in order; hyper-parameters have their defaults."""
    space: dict[str, Any] = {}
    exec(
        compile(source(operation), f"<eager {operation.label}>", "exec"), space
    )  # written below, not by a user
    return space["forward"]


def source(operation: Operation) -> str:
    """The source of the baseline.

    >>> from gradproof.symbolic.operation import find
    >>> print(source(find("silu")).rstrip().splitlines()[-1].strip())
    return y
    """
    defaults = {name: h.default for name, h in operation.hyperparameters.items()}
    return share(Script(operation.program, defaults).text())


class Script:
    """The statements of a program as lines of code."""

    def __init__(self, program: Program, defaults: Mapping[str, Fraction]) -> None:
        self.program = program
        self.defaults = defaults
        self.statements = flat(program.statements)
        self.needed = needed(program)
        self.writer = Writer()

    def text(self) -> str:
        w = self.writer
        arguments = [identifier(t) for t in self.program.inputs]
        for t, name in zip(self.program.inputs, arguments, strict=True):
            w.place(t, name, tuple(range(len(t.axes))))
        w.lines = []
        for statement in self.statements:
            if isinstance(statement, Recurrence):
                self.repeat(statement)
            else:
                self.define(statement)
        results = ", ".join(w.whole(t) for t in self.program.outputs)
        body = [*self.preamble(), *w.lines, f"return {results}"]
        signature = ", ".join(arguments + [f"{n}={float(v)!r}" for n, v in self.defaults.items()])
        return "\n".join(
            [
                "import math",
                "import torch",
                "",
                f"def forward({signature}):",
                *(f"    {line}" for line in body),
            ]
        )

    def preamble(self) -> list[str]:
        """The sizes of axes, and the dtype."""
        real = next(identifier(t) for t in self.program.inputs if t.dtype == "real")
        lines = [f"dtype = {real}.dtype"]
        found: set[Axis] = set()
        for t in self.program.inputs:
            for place, axis in enumerate(t.axes):
                if axis not in found and axis.size is None:
                    found.add(axis)
                    lines.append(f"{self.writer.size(axis)} = {identifier(t)}.shape[{place}]")
        return lines

    def define(self, d: Definition) -> None:
        if d.target in self.needed:
            self.writer.define(d.target, d.indices, self.settled(d.value), identifier(d.target))

    def settled(self, expr: Expr) -> Expr:
        """The expression with the hyper-parameters that are 0 put in: a user would not write them."""

        def visit(node: Expr) -> Expr:
            zero = isinstance(node, Parameter) and self.defaults.get(node.name) == 0
            return number(0) if zero else node

        return rewrite(expr, visit)

    def repeat(self, r: Recurrence) -> None:
        """A loop over the steps; what every step keeps is stacked behind it."""
        if r.reverse or r.summed or any(c.shift for c in r.collected) or any(s.shift for s in r.scanned):
            raise NotImplementedError(f"{r.name}: only plain recurrences are written out")
        w = self.writer
        kept = [c for c in r.collected if c.outside in self.needed]
        for s in r.scanned:
            w.lines.append(
                f"{identifier(s.inside)}_all = {w.whole(s.outside)}.unbind({step_axis(s.outside, s.inside)})"
            )
        for c in r.carried:
            if c.initial is None:
                raise NotImplementedError(f"{r.name}: {c.before!r} has no initial value")
            w.lines.append(f"{identifier(c.before)} = {w.whole(c.initial)}")
            w.place(c.before, identifier(c.before), tuple(range(len(c.before.axes))))
        w.lines += [f"{identifier(c.outside)}_all = []" for c in kept]
        w.lines.append(f"for t in range({w.size(r.axis)}):")
        outer, w.lines = w.lines, []
        self.step(r, kept)
        w.lines = outer + [f"    {line}" for line in w.lines]
        for c in kept:
            stacked = f"torch.stack({identifier(c.outside)}_all, {step_axis(c.outside, c.inside)})"
            w.lines.append(f"{identifier(c.outside)} = {stacked}")
            w.place(c.outside, identifier(c.outside), tuple(range(len(c.outside.axes))))
        for c in r.carried:
            w.place(c.last, identifier(c.before), tuple(range(len(c.last.axes))))

    def step(self, r: Recurrence, kept: list[Any]) -> None:
        w = self.writer
        for s in r.scanned:
            w.lines.append(f"{identifier(s.inside)} = {identifier(s.inside)}_all[t]")
            w.place(s.inside, identifier(s.inside), tuple(range(len(s.inside.axes))))
        for d in r.body:
            self.define(d)
        w.lines += [f"{identifier(c.outside)}_all.append({w.whole(c.inside)})" for c in kept]
        before = ", ".join(identifier(c.before) for c in r.carried)
        w.lines.append(f"{before} = {', '.join(w.whole(c.after) for c in r.carried)}")


def identifier(tensor: Tensor) -> str:
    """The name of a tensor as a Python variable."""
    taken = keyword.iskeyword(tensor.name) or tensor.name in RESERVED
    return f"{tensor.name}_" if taken else tensor.name


def needed(program: Program) -> set[Tensor]:
    """The tensors on which an output depends; with a recurrence, all that its steps define."""
    wanted = set(program.outputs)
    for statement in reversed(flat(program.statements)):
        if isinstance(statement, Recurrence):
            live = _live_in_step(statement, wanted)
            wanted |= live | {s.outside for s in statement.scanned}
            wanted |= {c.initial for c in statement.carried if c.initial is not None}
        elif statement.target in wanted:
            wanted |= _read(statement.value)
    return wanted


def _live_in_step(r: Recurrence, wanted: set[Tensor]) -> set[Tensor]:
    live = {c.after for c in r.carried} | {c.inside for c in r.collected if c.outside in wanted}
    for d in reversed(r.body):
        if d.target in live:
            live |= _read(d.value)
    return live


def _read(expr: Expr) -> set[Tensor]:
    return {node.tensor for node in walk(expr) if isinstance(node, Entry)}
