"""What the names in an array formula stand for: axes, tensors, numbers, definitions and indices.

The axis of an index is learned from where it stands, the axis that a tensor of positions points into from
where it is used; what is learned too late makes the reader read once more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


Form = tuple[tuple[tuple[Axis, int], ...], int]
MAX_SHORTEST = 8
"""An axis may be asked to have so many places."""


class TooShortError(Exception):
    """An axis that is to have more places for a formula to have a value: it is read again with these."""

    def __init__(self, axis: str, least: int) -> None:
        super().__init__(f"the axis {axis} needs {least} places")
        self.axis, self.least = axis, least


def _by_name(part: tuple[Axis, int]) -> str:
    return part[0].name


@dataclass
class Names:
    """The names that a claim declares.

    - `learned`: the axes of indices and of tensors of positions, by a key that says which one is meant;
    - `structures`: what is known of the matrices that a claim is differentiated by;
    - `late`: whether something was learned after it had been needed;
    - `shortest`: the places that an axis has at least.
    """

    axes: dict[str, Axis] = field(default_factory=dict[str, Axis])
    tensors: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    domains: dict[str, str] = field(default_factory=dict[str, str])
    definitions: dict[str, Array] = field(default_factory=dict[str, Array])
    learned: dict[str, Axis] = field(default_factory=dict[str, Axis])
    structures: dict[Tensor, Tensor] = field(default_factory=dict[Tensor, Tensor])
    needed: set[str] = field(default_factory=set[str])
    late: bool = False
    shortest: dict[str, int] = field(default_factory=dict[str, int])
    made: dict[Form, Axis] = field(default_factory=dict["Form", Axis])
    rows: dict[tuple[Axis, ...], Axis] = field(default_factory=dict[tuple[Axis, ...], Axis])

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
                self.axes[name] = Axis(name, minimum=self.shortest.get(name, 1))
        return self.axes[name]

    def axis_of(self, parts: Mapping[Axis, int], more: int) -> Axis:
        """The axis of so many times the sizes of others and a number: the same one for the same size.

        Raises TooShortError where axes of a larger size make it one.
        """
        plain: dict[Axis, int] = {}
        for axis, times in parts.items():
            for part, count in axis.parts or ((axis, 1),):
                plain[part] = plain.get(part, 0) + times * count
            more += times * axis.more
        more += sum(times * a.size for a, times in plain.items() if a.size is not None)
        kept = tuple(sorted(((a, n) for a, n in plain.items() if n and a.size is None), key=_by_name))
        if not kept:
            if more < 1:
                raise ParseError("an axis without places")
            return self.axis(str(more))
        if kept == ((kept[0][0], 1),) and not more:
            return kept[0][0]
        if any(times < 0 for _, times in kept):
            raise ParseError("an axis whose size may be negative")
        least = more + sum(times * a.minimum for a, times in kept)
        if least < 0:
            longest = kept[0][0]
            raise TooShortError(longest.name, longest.minimum - least)
        if (kept, more) not in self.made:
            name = "_and_".join(a.name + f"_times_{n}" * (n > 1) for a, n in kept)
            name += f"_more_{more}" if more > 0 else f"_less_{-more}" if more else ""
            self.made[kept, more] = Axis(name, minimum=least, parts=kept, more=more)
        return self.made[kept, more]

    def joined(self, factors: Sequence[Axis]) -> Axis:
        """The axis that joins axes row by row: the same one for the same axes."""
        key = tuple(factors)
        if key not in self.rows:
            name = "_by_".join(a.name for a in key)
            self.rows[key] = Axis(name, minimum=1, factors=key)
        return self.rows[key]

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
