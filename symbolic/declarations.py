"""What an operation is declared with: its inputs and its hyper-parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from gradproof.symbolic.axes import Axis, check_axis
from gradproof.symbolic.domain import DomainError, parse_domain
from gradproof.symbolic.expressions import DType
from gradproof.symbolic.mistakes import MistakeError


@dataclass(frozen=True)
class Input:
    """A declared input: its axes, what its entries are, and for which option values it is there."""

    axes: tuple[Axis, ...]
    dtype: DType = "real"
    domain: str = "real"
    over: Axis | None = None
    when: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True)
class Hyperparameter:
    """A declared scalar, symbolic in derivation and proof, with the value that kernels use by default."""

    default: Fraction
    domain: str = "real"


def real(*axes: Axis, domain: str = "real", **when: object) -> Input:
    """A real input; `when` names option values for which it is there, all by default."""
    return Input(_axes(axes), "real", _domain(domain), None, when)


def integer(*axes: Axis, over: Axis, beyond: bool = False, **when: object) -> Input:
    """An integer input whose entries index the axis `over`; some may lie `beyond` it, and count as none."""
    return Input(_axes(axes), "integer", "integer" if beyond else "index", over, when)


def boolean(*axes: Axis, **when: object) -> Input:
    """An input of truth values."""
    return Input(_axes(axes), "boolean", "boolean", None, when)


def scalar(default: str | int, domain: str = "real") -> Hyperparameter:
    """A hyper-parameter with its default, written exactly: `scalar("1e-5", "(0, inf)")`."""
    if isinstance(default, float):
        raise MistakeError(
            f"the default of a hyper-parameter is exact, scalar('{default}'), found the float {default}"
        )
    try:
        return Hyperparameter(Fraction(default), _domain(domain))
    except ValueError:
        raise MistakeError(
            f"the default of a hyper-parameter is a number, as in scalar('1e-5'), found {default!r}"
        ) from None


def _axes(axes: tuple[object, ...]) -> tuple[Axis, ...]:
    made = tuple(check_axis(axis, "an input has axes") for axis in axes)
    if any(a.variadic for a in made[sum(a.variadic for a in made) :]):
        raise MistakeError(f"batch axes come first, found {', '.join(a.name for a in made)}")
    return made


def _domain(text: str) -> str:
    try:
        parse_domain(text)
    except DomainError as problem:
        raise MistakeError(f"{problem}") from None
    return text
