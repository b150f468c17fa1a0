"""Verdicts: proved, refuted with a witness, or undecided with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["proved", "refuted", "undecided"]
GroundKind = Literal["normal-form", "induction", "decision-procedure", "exact-execution"]


@dataclass(frozen=True)
class Bound:
    """How likely a false *proved* is at most: `2**log2`, by a theorem or by a heuristic model."""

    log2: int
    kind: Literal["theorem", "heuristic"]


@dataclass(frozen=True)
class Ground:
    """What a *proved* rests on.

    - `sizes`: the conditions on sizes under which it holds (`classes >= 1`);
    - `regions`: the regions that were decided one by one and cover the domain;
    - `assumes`: what is taken for granted beside them;
    - `bound`: the probability of error, `None` where there is none.
    """

    kind: GroundKind
    sizes: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    assumes: tuple[str, ...] = ()
    bound: Bound | None = None

    def to_dict(self) -> dict[str, Any]:
        bound = None if self.bound is None else {"log2": self.bound.log2, "kind": self.bound.kind}
        return {
            "kind": self.kind,
            "sizes": list(self.sizes),
            "regions": list(self.regions),
            "assumes": list(self.assumes),
            "bound": bound,
        }


@dataclass(frozen=True)
class Witness:
    """A point at which two sides differ, and their values there, as exact texts."""

    point: Mapping[str, str]
    left: str
    right: str

    def to_dict(self) -> dict[str, Any]:
        return {"point": dict(self.point), "left": self.left, "right": self.right}


@dataclass(frozen=True)
class Verdict:
    """The answer to whether two sides are equal.

    Raises ValueError for a *proved* without ground, *refuted* without witness, *undecided* without reason.

    >>> Verdict("proved", ground=Ground("normal-form")).to_dict()["verdict"]
    'proved'
    """

    verdict: Outcome
    ground: Ground | None = None
    witness: Witness | None = None
    reason: str | None = None
    notes: tuple[str, ...] = ()
    seconds: float = field(default=0, compare=False)

    def __post_init__(self) -> None:
        needed = {"proved": self.ground, "refuted": self.witness, "undecided": self.reason}[self.verdict]
        if needed is None:
            raise ValueError(f"a verdict {self.verdict!r} without its evidence")

    def to_dict(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "ground": self.ground.to_dict() if self.ground else None,
            "witness": self.witness.to_dict() if self.witness else None,
            "reason": self.reason,
            "notes": list(self.notes),
            "seconds": self.seconds,
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Verdict:
        """The verdict of what `to_dict` made.

        >>> made = Verdict("refuted", witness=Witness({"x": "0"}, "1", "2"))
        >>> Verdict.from_dict(made.to_dict()) == made
        True
        """
        ground, witness = data["ground"], data["witness"]
        if ground is not None:
            bound = None if ground["bound"] is None else Bound(**ground["bound"])
            parts = (tuple(ground[name]) for name in ("sizes", "regions", "assumes"))
            ground = Ground(ground["kind"], *parts, bound=bound)
        return Verdict(
            data["verdict"],
            ground,
            None if witness is None else Witness(**witness),
            data["reason"],
            tuple(data["notes"]),
            data["seconds"],
        )

    def _repr_markdown_(self) -> str:
        from gradproof.symbolic.plain import verdict_lines

        first, *rest = verdict_lines(self)
        return "\n".join([f"**{first}**", "", *(f"- {line}" for line in rest)])


def combine(verdicts: Sequence[Verdict]) -> Outcome:
    """Refuted if one is, else undecided if one is or there is none, else proved.

    >>> combine([])
    'undecided'
    """
    outcomes = {v.verdict for v in verdicts}
    if "refuted" in outcomes:
        return "refuted"
    return "proved" if outcomes == {"proved"} else "undecided"
