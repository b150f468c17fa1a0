"""The answer of a check: a verdict for each output and input, what is wrong, and what was varied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gradproof.numeric.checking.accuracy import Accuracy
from gradproof.symbolic.verdict import Ground, Outcome, Verdict, Witness


@dataclass(frozen=True)
class PairVerdict(Verdict):
    """The verdict on the gradient of one output with respect to one input."""

    output: str = ""
    wrt: str = ""
    diagnosis: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"output": self.output, "input": self.wrt, "diagnosis": self.diagnosis, **super().to_dict()}


@dataclass(frozen=True)
class CheckResult(Verdict):
    """The verdict on a backward: refuted if one pair is, else undecided if one is, else proved."""

    pairs: tuple[PairVerdict, ...] = ()
    diagnosis: str | None = None
    varied: Mapping[str, Any] = field(default_factory=dict[str, Any])
    accuracy: Accuracy | None = None
    """Errors in floats, if they were asked for."""
    seed: int = 0
    name: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {
            **super().to_dict(),
            "pairs": [pair.to_dict() for pair in self.pairs],
            "diagnosis": self.diagnosis,
            "varied": dict(self.varied),
            "accuracy": None if self.accuracy is None else self.accuracy.to_dict(),
            "seed": self.seed,
        }

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.verdict}" if self.name else self.verdict]
        for pair in self.pairs:
            lines.append(f"  d{pair.output}/d{pair.wrt}: {pair.verdict}")
            if pair.witness is not None:
                lines += [f"    {name} = {value}" for name, value in pair.witness.point.items()]
                lines += [
                    f"    true gradient    {pair.witness.left}",
                    f"    claimed gradient {pair.witness.right}",
                ]
            if pair.diagnosis is not None:
                lines.append(f"    {pair.diagnosis}")
            if pair.reason is not None:
                lines.append(f"    {pair.reason}")
            if pair.ground is not None and pair.ground.assumes:
                lines += [f"    assumes {assumed}" for assumed in pair.ground.assumes]
        if self.accuracy is not None:
            lines += [f"  {line}" for line in str(self.accuracy).splitlines()]
        return "\n".join(lines)


__all__ = ["CheckResult", "Ground", "Outcome", "PairVerdict", "Verdict", "Witness"]
