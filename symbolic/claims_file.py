"""Files of claims: JSON lines, one claim each, read field by field with a reason for what cannot be read."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, cast

Kind = Literal["derivative", "identity", "vjp", "jvp", "jacobian", "hessian"]
KINDS: tuple[Kind, ...] = ("derivative", "identity", "vjp", "jvp", "jacobian", "hessian")
MAX_LINE = 100_000
"""Characters in a line; a claim is a few formulas."""


class ClaimError(ValueError):
    """A line that is no claim: what was found and what was expected."""


@dataclass(frozen=True)
class Claim:
    """A function and a formula that is said to be its derivative, or two sides that are said to be equal.

    - `function`, `claim`: the two texts; for `kind = "identity"` the left and the right side;
    - `wrt`: the variables to differentiate by, in order;
    - `domain`: where each variable lies; `where`: conditions on top of it;
    - `axes`: the axes of each tensor, for index expressions; `cotangent`: the name of the one of a VJP;
    - `latex`: the texts are LaTeX.
    """

    id: str
    function: str
    wrt: tuple[str, ...] = ()
    claim: str = ""
    domain: Mapping[str, str] = field(default_factory=dict[str, str])
    where: tuple[str, ...] = ()
    kind: Kind = "derivative"
    axes: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, "tuple[str, ...]"])
    cotangent: str | None = None
    latex: bool = False

    @property
    def indexed(self) -> bool:
        """Whether it is one over tensors: it names axes, or asks for a derivative of tensors."""
        return bool(self.axes) or self.kind in ("vjp", "jvp", "jacobian", "hessian")

    def to_dict(self) -> dict[str, Any]:
        """What stands in the line of a file."""
        data: dict[str, Any] = {"id": self.id, "function": self.function}
        if self.wrt:
            data["wrt"] = self.wrt[0] if len(self.wrt) == 1 else list(self.wrt)
        data |= {"claim": self.claim, "domain": dict(self.domain)}
        if self.where:
            data["where"] = list(self.where)
        if self.kind != "derivative":
            data["kind"] = self.kind
        if self.axes:
            data["axes"] = {name: list(axes) for name, axes in self.axes.items()}
        if self.cotangent is not None:
            data["cotangent"] = self.cotangent
        return data | ({"latex": True} if self.latex else {})


@dataclass(frozen=True)
class Line:
    """A line of a file: where it stands, and its claim or why it is none."""

    source: str
    number: int
    id: str
    claim: Claim | None = None
    problem: str | None = None


def read_claims(path: Path) -> list[Line]:
    """The claims of a file; raises OSError or UnicodeDecodeError for one that cannot be read."""
    return list(read_lines(path.read_text(encoding="utf-8"), str(path)))


def read_lines(text: str, source: str = "") -> Iterator[Line]:
    """The claims of JSON lines; blank lines are skipped.

    >>> [line.problem for line in read_lines('{"id": "a", "function": "x", "claim": "1"}')]
    ["'wrt' is missing: the variable to differentiate by"]
    """
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        name = f"line {number}"
        try:
            data = _object(line)
            name = _name(data, name)
            yield Line(source, number, name, read_claim(data, name))
        except ClaimError as problem:
            yield Line(source, number, name, problem=str(problem))


def read_claim(data: Mapping[str, Any], name: str = "") -> Claim:
    """The claim of one JSON object; raises ClaimError.

    >>> read_claim({"id": "a", "function": "x**2", "wrt": "x", "claim": "2*x"}).wrt
    ('x',)
    """
    _known_fields(data)
    kind = data.get("kind", "derivative")
    if kind not in KINDS:
        raise ClaimError(f"the kind {kind!r} is none of {', '.join(KINDS[1:])}")
    axes = {n: _names(a, f"axes of {n}") for n, a in _mapping(data, "axes").items()}
    wrt = _names(data["wrt"], "wrt") if data.get("wrt") is not None else ()
    if kind == "derivative" and not wrt:
        raise ClaimError("'wrt' is missing: the variable to differentiate by")
    if kind == "identity" and wrt:
        raise ClaimError("an identity has no 'wrt'")
    return Claim(
        id=_name(data, name),
        function=_text(data, "function"),
        wrt=wrt,
        claim=_text(data, "claim"),
        domain=_texts(_mapping(data, "domain"), "domain"),
        where=_conditions(data.get("where")),
        kind=kind,
        axes=axes,
        cotangent=_text(data, "cotangent") if data.get("cotangent") is not None else None,
        latex=_flag(data.get("latex", False)),
    )


def _object(line: str) -> Mapping[str, Any]:
    if len(line) > MAX_LINE:
        raise ClaimError(f"a line of {len(line)} characters; at most {MAX_LINE} are read")
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as problem:
        raise ClaimError(f"no JSON: {problem}") from None
    if not isinstance(data, dict):
        raise ClaimError(f"a JSON object was expected, found {type(data).__name__}")
    return cast("dict[str, Any]", data)


def _name(data: Mapping[str, Any], default: str) -> str:
    found = data.get("id", default)
    return str(found) if isinstance(found, str | int) else default


def _known_fields(data: Mapping[str, Any]) -> None:
    """Other fields are free to carry remarks, but one that is nearly ours is a slip."""
    known = [f.name for f in fields(Claim)]
    for name in data:
        near = difflib.get_close_matches(name, known, 1, 0.8) if name not in known else []
        if near and near[0] not in data:
            raise ClaimError(f"there is no field {name!r}; do you mean {near[0]!r}?")


def _text(data: Mapping[str, Any], name: str) -> str:
    found = data.get(name)
    if found is None:
        raise ClaimError(f"{name!r} is missing")
    if isinstance(found, int | float) and not isinstance(found, bool):
        return repr(found)
    if not isinstance(found, str):
        raise ClaimError(f"{name!r} is a text, not {type(found).__name__}")
    return found


def _mapping(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found: Any = data.get(name)
    if found is None:
        return {}
    if isinstance(found, str) and name == "domain":
        return _domains(found)
    if not isinstance(found, dict):
        raise ClaimError(f"{name!r} is an object from names to what holds of them")
    return cast("dict[str, Any]", found)


def _domains(text: str) -> dict[str, str]:
    """`x: real; y: (0, inf)`, as on the command line."""
    made: dict[str, str] = {}
    for part in filter(str.strip, text.split(";")):
        name, colon, domain = part.partition(":")
        if not colon:
            raise ClaimError(f"{part.strip()!r} says no domain; write `x: real; y: (0, inf)`")
        made[name.strip()] = domain.strip()
    return made


def _texts(found: Mapping[str, Any], name: str) -> dict[str, str]:
    for key, value in found.items():
        if not isinstance(value, str):
            raise ClaimError(f"the {name} of {key} is a text, not {type(value).__name__}")
    return dict(found)


def _names(found: Any, name: str) -> tuple[str, ...]:
    parts = _list(found)
    if parts is None or not all(part.strip() for part in parts):
        raise ClaimError(f"{name!r} is a name or a list of names")
    return tuple(part.strip() for part in parts)


def _conditions(found: Any) -> tuple[str, ...]:
    parts = [] if found is None else _list(found)
    if parts is None:
        raise ClaimError("'where' is a list of conditions")
    return tuple(parts)


def _list(found: Any) -> list[str] | None:
    """A list of texts, or one text by itself; None for anything else."""
    if isinstance(found, str):
        return [found]
    if not isinstance(found, list):
        return None
    parts = cast("list[Any]", found)
    return parts if all(isinstance(part, str) for part in parts) else None


def _flag(found: Any) -> bool:
    if not isinstance(found, bool):
        raise ClaimError("'latex' is true or false")
    return found
