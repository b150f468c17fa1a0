"""derive(): the derivatives of an operation as numbered steps that end in a closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gradproof.symbolic.analysis import active_tensors, canonical_indices
from gradproof.symbolic.expressions import Expr, Tensor, at, put
from gradproof.symbolic.operation import Operation, Program, Recurrence
from gradproof.symbolic.rules import RULES, Context

__all__ = ["Derivation", "Reversed", "Step", "active_tensors", "adjoint_name", "canonical_indices", "derive"]


@dataclass(frozen=True)
class Step:
    """One step: `rule` applied at `where` (child numbers) turned `before` into `after`, deriving `subject`.

    `context` is what the rule may look up: the forward definitions.
    """

    subject: Tensor
    rule: str
    where: tuple[int, ...]
    before: Expr
    after: Expr
    context: Context = field(default_factory=Context, repr=False, compare=False)

    def replay(self) -> Expr:
        """Apply the rule once more; a true step gives `after`."""
        made = RULES[self.rule].apply(at(self.before, self.where), self.context)
        if made is None:
            raise ValueError(f"the rule {self.rule!r} does not fit {at(self.before, self.where)}")
        return put(self.before, self.where, made)


@dataclass(frozen=True)
class Reversed:
    """A recurrence and its adjoint: the adjoints within a step, and what each tensor outside receives."""

    forward: Recurrence
    backward: Recurrence
    adjoints: Mapping[Tensor, Tensor]
    received: tuple[tuple[Tensor, Tensor], ...]


@dataclass(frozen=True)
class Derivation:
    """A derivative in closed form, with the steps that led there.

    `program` reads forward tensors and cotangents (vjp) or tangents (jvp) and defines the derivative.

    - `results`: what was asked for, by name: the adjoint of each real input, the tangent of each output.
    - `adjoints`: the adjoint of each forward tensor that got one; `recurrences` pairs each with its adjoint.
    - `based_on`: the derivations of a lower order whose results this one reads, and whose steps come first.
    """

    label: str
    kind: str
    program: Program
    steps: tuple[Step, ...]
    results: Mapping[str, Tensor]
    context: Context
    adjoints: Mapping[Tensor, Tensor] = field(default_factory=dict[Tensor, Tensor])
    recurrences: tuple[Reversed, ...] = ()
    based_on: tuple[Derivation, ...] = ()

    def replay(self) -> None:
        """Apply every recorded step again; raises AssertionError where one does not give what it says."""
        for earlier in self.based_on:
            earlier.replay()
        for number, step in enumerate(self.steps, 1):
            if step.replay() is not step.after:
                raise AssertionError(f"{self.label}: step {number} ({step.rule}) does not replay")

    def _repr_latex_(self) -> str:
        from gradproof.symbolic.latex import derivation_to_latex, displayed

        return displayed(derivation_to_latex(self))


def adjoint_name(name: str) -> str:
    """The name of the adjoint (the gradient of the loss) of a tensor.

    >>> adjoint_name("xhat")
    'dxhat'
    """
    return f"d{name}"


def derive(operation: Operation | Program, kind: str = "vjp") -> Derivation:
    """Derive a derivative of an operation (or of a program) in closed form.

    - `"vjp"`: adjoints `dx` of the real inputs from cotangents `dy` of the outputs;
    - `"jvp"`: tangents `y_dot` of the outputs from tangents `x_dot` of the real inputs.

    Raises ValueError for another kind.

    >>> from gradproof.symbolic.operation import find
    >>> derive(find("softmax")).program.statements[-1].value
    y[b,k]*(dy[b,k] + -1*sum<k>(dy[b,k]*y[b,k]))
    """
    program, label = (
        (operation.program, operation.label) if isinstance(operation, Operation) else (operation, "program")
    )
    if kind == "vjp":
        from gradproof.symbolic.reverse import reverse_mode

        return reverse_mode(program, label)
    if kind == "jvp":
        from gradproof.symbolic.forward import forward_mode

        return forward_mode(program, label)
    raise ValueError(f"a derivation is of kind 'vjp' or 'jvp', found {kind!r}")
