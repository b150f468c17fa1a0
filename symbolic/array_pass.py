"""One reading of all texts of a claim over arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from gradproof.symbolic.array_names import Names, named_index
from gradproof.symbolic.array_reader import ArrayReader
from gradproof.symbolic.array_shapes import gathered
from gradproof.symbolic.arrays import (
    Array,
    ShapeError,
    binary,
    fresh_index,
    of_tensor,
    placed,
    shown,
    spread_out,
    total_of,
    unary,
)
from gradproof.symbolic.claims_file import Claim
from gradproof.symbolic.definedness import Demand
from gradproof.symbolic.domain import Domain, parse_domain
from gradproof.symbolic.expressions import (
    ZERO,
    Expr,
    Index,
    Tensor,
    entry,
    substitute,
)
from gradproof.symbolic.matrices import determinant
from gradproof.symbolic.signs import hull
from gradproof.symbolic.syntax import (
    ParseError,
    Statement,
    Syntax,
    left_side,
    parse_expression,
)

Parse = Callable[[str], Sequence[Statement]]


@dataclass
class Reading:
    """What the texts of a claim say.

    - `output`: the function, over its axes, its named indices first;
    - `claimed`: the claim, over the axes that it has;
    - `by`: the tensors to differentiate by; `moved`: the tangent of each, of a JVP;
    - `cotangent`: that of a VJP; `known`, `suppose`: the conditions.
    """

    claim: Claim
    names: Names
    output: Array
    claimed: Array
    by: tuple[Tensor, ...] = ()
    moved: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    cotangent: Tensor | None = None
    known: tuple[Demand, ...] = ()
    suppose: tuple[tuple[Expr, Expr], ...] = ()
    labels: tuple[str, ...] = ()


class ClaimShapeError(Exception):
    """The claim has no value at some sizes, though the function has one."""

    def __init__(self, problem: ShapeError) -> None:
        super().__init__(str(problem))
        self.one, self.other = problem.one, problem.other


@dataclass
class Pass:
    """One reading of all texts of a claim."""

    claim: Claim
    names: Names
    by: tuple[str, ...]
    labels: tuple[str, ...]
    parse: Parse

    def read(self, conditions: Sequence[Syntax]) -> Reading:
        claim, names = self.claim, self.names
        values = not claim.latex
        function = ArrayReader(names, "function", index_values=values)
        output = self.program(claim.function, function, "function")
        result = dict(names.definitions)
        tensors = tuple(names.tensors[n] for n in self.by)
        kind = claim.kind
        shared = "function" if kind in ("jacobian", "hessian", "identity", "derivative", "jvp") else ""
        reader = ArrayReader(names, "claim", shared, index_values=values)
        if kind != "identity":
            reader.declared = function.numbers
        named: dict[str, Array] = {"result": output} if "result" not in names.tensors else {}
        cotangent: Tensor | None = None
        moved: dict[str, Tensor] = {}
        if kind == "vjp":
            label, order = self.label("g")
            self.unused(label, "cotangent", function)
            output = self.reordered(output, order)
            plain = [f for a in output.axes if a is not None for f in a.factors or (a,)]
            cotangent = Tensor(label, tuple(plain))
            named[label] = gathered(of_tensor(cotangent), output.axes)
            reader.flexible[label] = cotangent
        if kind == "jvp":
            for n, tensor in zip(self.by, tensors, strict=True):
                label = self.tangent_label(n)
                self.unused(label, "tangent", function)
                moved[n] = Tensor(label, tensor.axes)
                named[label] = of_tensor(moved[n])
        if any(a is None for a in output.axes):
            kept = [n for n, a in enumerate(output.axes) if a is not None]
            output = Array(
                tuple(output.axes[n] for n in kept), tuple(output.indices[n] for n in kept), output.body
            )
        reader.results = named
        names.definitions = result
        try:
            claimed = self.program(claim.claim, reader, "claim", output if shared else None)
        except ShapeError as problem:
            if names.late:
                raise
            raise ClaimShapeError(problem) from None
        known, suppose = self.conditions(conditions, reader)
        if any(a is not None and a.factors for a in (*output.axes, *claimed.axes)):
            self.same_joints(output, claimed, tensors)
        output, claimed = spread_out(output), spread_out(claimed)
        return Reading(claim, names, output, claimed, tensors, moved, cotangent, known, suppose, ())

    def same_joints(self, output: Array, claimed: Array, by: Sequence[Tensor]) -> None:
        """Raise ClaimShapeError where a claim joins other axes than what it is about."""
        kind = self.claim.kind
        ahead = [] if kind == "vjp" else [a for a in output.axes if a is not None]
        behind = [] if kind in ("identity", "jvp") else [a for t in by for a in t.axes]
        wanted = (*ahead, *behind)
        if placed(claimed, wanted, [fresh_index(a) for a in wanted]) is None and any(claimed.axes):
            raise ClaimShapeError(
                ShapeError(
                    f"the claim has axes {claimed.shape}, what it is about has {shown(wanted)}",
                    claimed.axes,
                    wanted,
                )
            )

    def unused(self, label: str, what: str, function: ArrayReader) -> None:
        """Raise ParseError where the name of the cotangent or of a tangent is that of something else."""
        names = self.names
        taken = {*names.tensors, *names.domains, *names.axes, *names.definitions, *function.numbers}
        if label in taken:
            raise ParseError(f"{label!r} is the {what} and something else; give another name as 'cotangent'")

    def label(self, default: str) -> tuple[str, tuple[str, ...]]:
        if self.claim.cotangent is None:
            return default, ()
        return left_side(parse_expression(self.claim.cotangent))

    def tangent_label(self, name: str) -> str:
        given = self.claim.cotangent
        if given is not None and len(self.by) == 1:
            return left_side(parse_expression(given))[0]
        return f"{name}_dot"

    def program(self, text: str, reader: ArrayReader, what: str, like: Array | None = None) -> Array:
        """The value of a text, its free indices as its first axes."""
        try:
            statements = self.parse(text)
            for statement in statements[:-1]:
                if not statement.name:
                    raise ParseError("only the last of several statements has no name")
                self.define(statement, reader)
            last = statements[-1]
            if last.name:
                self.define(last, reader)
                if reader.scope == "function":
                    self.function_labels = list(last.indices)
                return self.names.definitions[last.name]
            self.agree(last.indices)
            value = reader.array(last.body)
        except ParseError as problem:
            raise ParseError(f"{what}: {problem}") from None
        except ShapeError as problem:
            if what == "claim" or self.names.late:
                raise
            raise ParseError(f"{what}: {problem}") from None
        return self.opened(value, reader, like)

    def agree(self, indices: Sequence[str]) -> None:
        """Raise ParseError where a partial derivative on the left side names other indices than the claim."""
        if not indices:
            return
        at = list(indices).index("/")
        above, below = indices[:at], indices[at + 1 :]
        if (above and list(above) != list(self.function_labels)) or (below and below != self.labels):
            raise ParseError(
                "the left side names other indices than the function and 'wrt' do; write them there, as in "
                "`y_i = ...` and `x[j]`"
            )

    def define(self, statement: Statement, reader: ArrayReader) -> None:
        value = reader.array(statement.body)
        free = self.free(reader)
        if statement.indices:
            missing = [i for i in free if i not in statement.indices and i in _free_names(value)]
            if missing:
                raise ParseError(f"{statement.name}: the index {missing[0]} is not on the left side")
            value = self.along(value, statement.indices, reader)
        else:
            value = self.opened(value, reader, None)
        self.names.definitions[statement.name] = value
        for name in statement.indices:  # they are bound now
            self.names.learned.setdefault(
                f"{reader.scope}.{statement.name}:{name}", self.names.learned[f"{reader.scope}:{name}"]
            )

    def free(self, reader: ArrayReader) -> list[str]:
        prefix = f"{reader.scope}:"
        return sorted(k[len(prefix) :] for k in self.names.learned if k.startswith(prefix))

    def along(self, value: Array, order: Sequence[str], reader: ArrayReader) -> Array:
        """The array with named indices as its first axes."""
        own: list[Index] = []
        body = value.body
        for name in order:
            axis = self.names.known(f"{reader.scope}:{name}")
            if axis is None:
                raise ParseError(f"the axis of the index {name} is not known")
            fresh = fresh_index(axis)
            body = Array((axis,), (named_index(name, axis),), body).at([fresh])
            own.append(fresh)
        return Array((*(i.axis for i in own), *value.axes), (*own, *value.indices), body)

    def opened(self, value: Array, reader: ArrayReader, like: Array | None) -> Array:
        """The free indices as axes, in alphabetical order, those of the function first."""
        own = self.free(reader)
        if like is not None:
            theirs = self.function_labels
            for name in set(own) & set(theirs):
                if self.names.known(f"claim:{name}") != self.names.known(f"function:{name}"):
                    raise ParseError(
                        f"the index {name} runs over another axis in the function than in the claim"
                    )
            own = [n for n in own if n not in theirs]
            used = _free_names(value)
            named = own or any(n in used for n in theirs)
            return self.along_shared(value, [*theirs, *self.for_variable(own)] if named else [], reader)
        if reader.scope == "function":
            self.function_labels = own
            return self.along(value, own, reader)
        return self.along(value, self.for_variable(own), reader)

    function_labels: Sequence[str] = ()

    def for_variable(self, own: Sequence[str]) -> list[str]:
        """The free indices of a claim in the order of the axes that it is differentiated by."""
        if self.labels and set(own) <= set(self.labels):
            return list(self.labels)
        axes = [a for n in self.by for a in self.names.tensors[n].axes]
        known = {n: self.names.known(f"claim:{n}") for n in own}
        if len(set(axes)) == len(axes) and all(a in axes for a in known.values()):
            return sorted(own, key=lambda n: axes.index(known[n]))  # pyright: ignore[reportArgumentType]
        return sorted(own)

    def along_shared(self, value: Array, order: Sequence[str], reader: ArrayReader) -> Array:
        own: list[Index] = []
        body = value.body
        for name in order:
            axis = self.names.known(f"{reader.scope}:{name}") or self.names.known(f"function:{name}")
            assert axis is not None
            fresh = fresh_index(axis)
            body = Array((axis,), (named_index(name, axis),), body).at([fresh])
            own.append(fresh)
        return Array((*(i.axis for i in own), *value.axes), (*own, *value.indices), body)

    def reordered(self, output: Array, order: Sequence[str]) -> Array:
        """The output with its named indices in the order in which the cotangent names them."""
        labels = list(self.function_labels)
        if not order or not labels or sorted(order) != sorted(labels):
            return output
        places = [labels.index(n) for n in order]
        rest = list(range(len(labels), output.rank))
        return Array(
            tuple(output.axes[n] for n in (*places, *rest)),
            tuple(output.indices[n] for n in (*places, *rest)),
            output.body,
        )

    def conditions(
        self, given: Sequence[Syntax], reader: ArrayReader
    ) -> tuple[tuple[Demand, ...], tuple[tuple[Expr, Expr], ...]]:
        """Conditions as demands and equations, for all values of their indices; domains that exclude 0."""
        known: list[Demand] = []
        suppose: list[tuple[Expr, Expr]] = []
        inside = ArrayReader(self.names, "where", index_values=not self.claim.latex)
        for node in given:
            for part in node.parts if node.kind == "all_of" else (node,):
                self.condition(part, inside, known, suppose)
        for name, tensor in self.names.tensors.items():
            domain = self.claim.domain.get(name, "real")
            if tensor.structure == "invertible":
                known.append(_invertible(tensor))
            elif tensor.dtype == "real" and not tensor.structure and tensor.domain not in ("real", "integer"):
                parsed = parse_domain(domain)
                known += _outside_zero(tensor, parsed)
        return tuple(known), tuple(suppose)

    def condition(
        self,
        node: Syntax,
        reader: ArrayReader,
        known: list[Demand],
        suppose: list[tuple[Expr, Expr]],
    ) -> None:
        if node.kind != "compare":
            raise ParseError(f"where: column {node.column}: a comparison was expected")
        relations = node.text.split()
        for relation, a, b in zip(relations, node.parts, node.parts[1:], strict=False):
            one, other = reader.array(a), reader.array(b)
            made = spread_out(binary(lambda x, y: x - y, one, other))
            if relation in ("<", "<="):
                made = unary(lambda x: -x, made)
                relation = relation.replace("<", ">")
            over = [i for i in made.indices if i is not None]
            named = [i for i in made.value.free if i not in over]
            bound = tuple(fresh_index(i.axis) for i in (*over, *named))
            moved = dict(zip((*over, *named), bound, strict=True))
            subject = substitute(made.value, dict(moved))
            known += total_of(made.body, [*over, *named]).demands
            if relation == "==":
                suppose.append((subject, ZERO))
            else:
                known.append(Demand(subject, relation, (), bound))


def _outside_zero(tensor: Tensor, domain: Domain) -> list[Demand]:
    """That entries are not 0, for a domain of several intervals that leaves it out."""
    if domain.contains(Fraction(0)) or hull(str(domain)).sign:
        return []
    over = tuple(fresh_index(a) for a in tensor.axes)
    return [Demand(entry(tensor, *over), "!=", (), over)]


def _invertible(tensor: Tensor) -> Demand:
    over = tuple(fresh_index(a) for a in tensor.axes)
    return Demand(determinant(entry(tensor, *over), *over[-2:]), "!=", (), over[:-2])


def _free_names(value: Array) -> set[str]:
    indices = {i for i in value.indices if i is not None}
    free = value.value.free.union(
        *(d.subject.free.union(*(g.free for g in d.guards)) - set(d.bound) for d in value.body.demands)
    )
    return {i.name for i in free - indices}
