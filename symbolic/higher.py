"""Derivatives of higher order: a gradient is a program, and can be derived once more."""

from __future__ import annotations

from collections.abc import Sequence

from gradproof.symbolic.analysis import canonical_indices, needed, read_outside
from gradproof.symbolic.derivation import Derivation
from gradproof.symbolic.expressions import Expr, Tensor, add, entry, number
from gradproof.symbolic.forward import Pushed, forward_mode, push, tangent
from gradproof.symbolic.mistakes import MistakeError, check_count
from gradproof.symbolic.operation import Definition, Program, Recurrence, flat
from gradproof.symbolic.reverse import reverse_mode

MAX_ORDER = 12
"""The highest order of a Taylor polynomial that is derived."""


def gradient_program(program: Program) -> Program:
    """The program from the inputs and the cotangents to the adjoints of the real inputs.

    What the VJP reads of the forward pass is computed first.

    >>> from gradproof.symbolic.operation import find
    >>> print(*(s.target for s in gradient_program(find("log_softmax").program).statements))
    lse[batch] y[batch, classes] dx[batch, classes]
    """
    return extended(program, reverse_mode(program, "gradient"), len(program.outputs))


def extended(program: Program, derivation: Derivation, given: int) -> Program:
    """A program followed by a derivation from it, whose last `given` inputs are new."""
    made = derivation.program
    statements = (*flat(program.statements), *flat(made.statements))
    kept = needed(statements, made.outputs)
    return Program((*program.inputs, *made.inputs[-given:]), program.parameters, tuple(kept), made.outputs)


def hessian_vector(program: Program, label: str) -> Derivation:
    """The Hessian-vector product, the JVP of the VJP: tangents of the adjoints along tangents of the inputs.

    With the cotangents `u` held still it is the Hessian of `<u, f>` applied to the tangents.
    """
    first = reverse_mode(program, label)
    whole = extended(program, first, len(program.outputs))
    moving = [t for t in program.inputs if t.dtype == "real"]
    second = forward_mode(whole, label, moving=moving)
    results = {name: second.results[adjoint.name] for name, adjoint in first.results.items()}
    return Derivation(label, "hvp", second.program, second.steps, results, second.context, based_on=(first,))


def taylor(program: Program, label: str, order: int) -> Derivation:
    r"""Taylor's polynomial along a direction: $f(x + v) \approx \sum_{n \le N} f^{(n)}(x)[v, \dots, v] / n!$.

    Each derivative is the JVP of the one before along the same direction `x_dot`. Raises ValueError for an
    order below 1 or above MAX_ORDER.
    """
    check_count(order, 1, "the order of a Taylor polynomial")
    if order > MAX_ORDER:
        raise MistakeError(
            f"the order of a Taylor polynomial is at most {MAX_ORDER} (each derivative is longer than the "
            f"one before), found {order}"
        )
    moving = [t for t in program.inputs if t.dtype == "real"]
    directions = [tangent(t) for t in moving]
    known = last = flat(program.statements)
    derivatives, rounds = [program.outputs], list[Pushed]()
    for _ in range(order):
        whole = Program((*program.inputs, *directions), program.parameters, known, derivatives[-1])
        rounds.append(push(whole, last, moving))
        last = rounds[-1].emitted
        known = (*known, *last)
        derivatives.append(tuple(rounds[-1].dots[t] for t in derivatives[-1]))
    sums = [_polynomial(terms, known) for terms in zip(*derivatives, strict=True)]
    outputs = tuple(s.target for s in sums)
    emitted = needed((*(s for r in rounds for s in r.emitted), *sums), outputs)
    inputs = read_outside(emitted, directions)
    closed = Program((*inputs, *directions), program.parameters, tuple(emitted), outputs)
    results = {t.name: t for row in (*derivatives[1:], outputs) for t in row}
    steps = tuple(step for r in rounds for step in r.shown(emitted))
    return Derivation(label, "taylor", closed, steps, results, rounds[-1].context)


def _polynomial(terms: Sequence[Tensor], statements: Sequence[Definition | Recurrence]) -> Definition:
    """`y + y' + y''/2 + ...` from the derivatives of an output."""
    parts: list[Expr] = []
    output, factorial = terms[0], 1
    over = canonical_indices(output, statements)
    for n, t in enumerate(terms):
        factorial *= max(n, 1)
        parts.append(entry(t, *over) / number(factorial))
    return Definition(Tensor(f"{output.name}_taylor", output.axes), over, add(*parts))
