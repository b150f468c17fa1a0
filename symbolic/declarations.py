"""What an operation is declared with: its inputs and its hyper-parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import DType


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
    return Input(axes, "real", domain, None, when)


def integer(*axes: Axis, over: Axis, beyond: bool = False, **when: object) -> Input:
    """An integer input whose entries index the axis `over`; some may lie `beyond` it, and count as none."""
    return Input(axes, "integer", "integer" if beyond else "index", over, when)


def boolean(*axes: Axis, **when: object) -> Input:
    """An input of truth values."""
    return Input(axes, "boolean", "boolean", None, when)


def scalar(default: str | int, domain: str = "real") -> Hyperparameter:
    """A hyper-parameter with its default, written exactly: `scalar("1e-5", "(0, inf)")`."""
    return Hyperparameter(Fraction(default), domain)
