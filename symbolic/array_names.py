"""What the names in an array formula stand for: axes, tensors, numbers, definitions and indices.

The axis of an index is learned from where it stands, the axis that a tensor of positions points into from
where it is used; what is learned too late makes the reader read once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gradproof.symbolic.arrays import Array
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.domain import DomainError, parse_domain
from gradproof.symbolic.expressions import Index, Parameter, Structure, Tensor, index, parameter
from gradproof.symbolic.syntax import ParseError

_STRUCTURES: Mapping[str, Structure] = {
    "symmetric": "symmetric",
    "positive definite": "positive definite",
    "spd": "positive definite",
    "pd": "positive definite",
    "positive-definite": "positive definite",
    "invertible": "invertible",
    "nonsingular": "invertible",
}
_POSITIONS = frozenset(("integer", "index", "int", "labels", "position"))
_TRUTHS = frozenset(("boolean", "bool", "mask", "{0,1}", "{0, 1}"))


@dataclass
class Names:
    """The names that a claim declares.

    - `learned`: the axes of indices and of tensors of positions, by a key that says which one is meant;
    - `structures`: what is known of the matrices that a claim is differentiated by;
    - `late`: whether something was learned after it had been needed.
    """

    axes: dict[str, Axis] = field(default_factory=dict[str, Axis])
    tensors: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    domains: dict[str, str] = field(default_factory=dict[str, str])
    definitions: dict[str, Array] = field(default_factory=dict[str, Array])
    learned: dict[str, Axis] = field(default_factory=dict[str, Axis])
    structures: dict[Tensor, Tensor] = field(default_factory=dict[Tensor, Tensor])
    needed: set[str] = field(default_factory=set[str])
    late: bool = False

    def axis(self, name: str) -> Axis:
        """The axis of a name; a whole number is an axis of that size."""
        if name not in self.axes:
            if name.isdigit():
                if not 1 <= int(name) <= 64:
                    raise ParseError(f"an axis of fixed size has 1 to 64 places, not {name}")
                self.axes[name] = Axis(f"_{name}", size=int(name))
            elif not name.isidentifier():
                raise ParseError(f"an axis is named by an identifier or a size, found {name!r}")
            else:
                self.axes[name] = Axis(name, minimum=1)
        return self.axes[name]

    def declare(self, name: str, axes: tuple[str, ...], domain: str = "real") -> Tensor:
        """A tensor over axes, with what is known of its entries."""
        if not name.isidentifier():
            raise ParseError(f"a tensor is named by an identifier, found {name!r}")
        over = tuple(self.axis(a) for a in axes)
        word = domain.strip().lower()
        made = Tensor(name, over)
        if word in _STRUCTURES:
            if len(over) < 2 or over[-1] != over[-2]:
                raise DomainError(
                    f"{name} is said to be {word}, and its axes {list(axes)} are not those of a square matrix"
                )
            made = replace(made, structure=_STRUCTURES[word])
        elif word in _TRUTHS:
            made = replace(made, dtype="boolean", domain="boolean")
        elif word in _POSITIONS or word.startswith("index"):
            made = replace(made, domain="integer")
            self.domains[name] = "index"
        else:
            made = replace(made, domain=str(parse_domain(domain)))
        self.tensors[name] = made
        return made

    def tensor(self, name: str) -> Tensor:
        """The tensor of a name, one of positions if it is used so."""
        made = self.tensors[name]
        over = self.learned.get(f"positions:{name}")
        self.needed.add(f"positions:{name}")
        if over is None:
            return made
        return replace(made, dtype="integer", domain="index", over=over)

    def learn(self, key: str, axis: Axis) -> None:
        """Note an axis; raises ParseError where another one is known."""
        known = self.learned.get(key)
        if known is None:
            self.learned[key] = axis
            if key in self.needed:
                self.late = True
        elif known != axis:
            raise ParseError(
                f"{key.rpartition(':')[2]} stands for places on the axis {known.name} and on {axis.name}"
            )

    def known(self, key: str) -> Axis | None:
        """The axis of a key; that it was asked for is kept."""
        self.needed.add(key)
        return self.learned.get(key)

    def number(self, name: str) -> Parameter:
        """A scalar variable."""
        domain = parse_domain(self.domains.get(name, "real"))
        return parameter(name, str(domain) if len(domain.intervals) == 1 else "real")


def named_index(name: str, axis: Axis) -> Index:
    """An index that a person has named."""
    return index(name, axis)
