"""derive(): the derivatives of an operation as numbered steps that end in a closed form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gradproof.symbolic.analysis import active_tensors, canonical_indices
from gradproof.symbolic.expressions import Expr, Tensor, at, put
from gradproof.symbolic.mistakes import MistakeError
from gradproof.symbolic.operation import Condition, Operation, Program, Recurrence, find
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
    - `based_on`: the derivations whose results this one reads or carries on, and whose steps come first.
    - `conditions`: the equations under which the closed form is stated.
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
    conditions: tuple[Condition, ...] = ()

    def replay(self) -> None:
        """Apply every recorded step again; raises AssertionError where one does not give what it says."""
        for earlier in self.based_on:
            earlier.replay()
        for number, step in enumerate(self.steps, 1):
            if step.replay() is not step.after:
                raise AssertionError(f"{self.label}: step {number} ({step.rule}) does not replay")

    def __str__(self) -> str:
        from gradproof.symbolic.plain import derivation_to_text

        return derivation_to_text(self)

    def _repr_latex_(self) -> str:
        from gradproof.symbolic.latex import derivation_to_latex, displayed

        return displayed(derivation_to_latex(self))


def adjoint_name(name: str) -> str:
    """The name of the adjoint (the gradient of the loss) of a tensor.

    >>> adjoint_name("xhat")
    'dxhat'
    """
    return f"d{name}"


def _check_operation(given: object) -> None:
    if not isinstance(given, Operation | Program):
        raise MistakeError(f"what is derived is an operation, made by @operation(...), found {given!r}")


Derive = Callable[[Program, str], Derivation]


def _kinds(order: int) -> dict[str, Derive]:
    from gradproof.symbolic import forward, higher, one_hot, reverse

    return {
        "vjp": reverse.reverse_mode,
        "jvp": forward.forward_mode,
        "jacobian": one_hot.jacobian,
        "hvp": higher.hessian_vector,
        "hessian": one_hot.hessian,
        "taylor": lambda program, label: higher.taylor(program, label, order),
    }


def derive(
    operation: Operation | Program | str, kind: str = "vjp", *, order: int = 2, conditions: bool = False
) -> Derivation:
    """Derive a derivative of an operation (given by itself, by name or as its program) in closed form.

    - `"vjp"`: adjoints `dx` of the real inputs from cotangents `dy` of the outputs;
    - `"jvp"`: tangents `y_dot` of the outputs from tangents `x_dot` of the real inputs;
    - `"jacobian"`: `dy_dx` for every output and real input;
    - `"hvp"`: the Hessian of `<dy, y>` times `x_dot`, for cotangents that are held still;
    - `"hessian"`: the same Hessian, `dx_dw` for all pairs of real inputs, of a scalar or vector output;
    - `"taylor"`: the polynomial `y_taylor` up to an `order`, along `x_dot`.

    With `conditions` the closed form is that under the conditions which the operation states. Raises
    ValueError for another kind, and for the Hessian of an output of more axes.

    >>> from gradproof.symbolic.operation import find
    >>> derive(find("softmax")).program.statements[-1].value
    y[b,k]*(dy[b,k] + -1*sum<k1>(dy[b,k1]*y[b,k1]))
    >>> derive(find("softmax"), "jacobian").program.statements[-1].value
    [b == b1]*y[b,k]*([k == k1] + -1*y[b,k1])
    """
    kinds = _kinds(order)
    if isinstance(operation, str):
        operation = find(operation)
    _check_operation(operation)
    if kind not in kinds:
        raise ValueError(f"a derivation is one of {', '.join(kinds)}; found {kind!r}")
    if isinstance(operation, Program):
        return kinds[kind](operation, "program")
    made = kinds[kind](operation.program, operation.label)
    if conditions and operation.conditions:
        from gradproof.symbolic.conditions import under

        return under(made, operation.conditions)
    return made
