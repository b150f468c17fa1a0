"""What a rule is, and what it may look up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from gradproof.symbolic.expressions import Expr, Index, Tensor
from gradproof.symbolic.matching import Pattern, pattern
from gradproof.symbolic.programs import Definition


@dataclass(frozen=True)
class OneHot:
    """A cotangent (or tangent) that is 1 at the entry `at` and 0 at all others, and what follows from it.

    `renamed` maps what depends on it to tensors that have its axes too, before their own (`leading`) or after
    them, and to None what is 0.
    """

    seed: Tensor
    at: tuple[Index, ...]
    renamed: Mapping[Tensor, Tensor | None]
    leading: bool


@dataclass(frozen=True)
class Context:
    """What a rule may look up.

    The forward definitions, the statistics of rows among them (`scales`), the adjoints of statistics, the
    adjoints that are used once, the cotangent that is 1 at one entry, and the conditions of the statement.
    """

    definitions: Mapping[Tensor, Definition] = field(default_factory=dict[Tensor, Definition])
    statistics: Mapping[Tensor, Definition] = field(default_factory=dict[Tensor, Definition])
    single: Mapping[Tensor, Definition] = field(default_factory=dict[Tensor, Definition])
    scales: frozenset[Tensor] = frozenset()
    one_hot: OneHot | None = None
    conditions: tuple[Pattern, ...] = ()

    @cached_property
    def patterns(self) -> tuple[Pattern, ...]:
        """The intermediates that can be recognised, the latest first: it says the most."""
        return tuple(p for d in reversed(list(self.definitions.values())) for p in pattern(d, self.scales))


@dataclass(frozen=True)
class Rule:
    """A named rewrite.

    `apply(node, context)` is what the node becomes, or None where the rule does not fit.
    """

    name: str
    says: str
    apply: Callable[[Expr, Context], Expr | None]
