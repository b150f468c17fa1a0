"""Definitions in index notation as lines: common subexpressions named once, sums as matrix products."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gradproof.numeric.canonical import as_operation, canonical, worth_a_name
from gradproof.numeric.lines import Contraction, Elementwise, Gather, Line, Reduction, Scatter, Stack
from gradproof.numeric.operands import cheapest, describe, is_truth, merge_alike, selects
from gradproof.numeric.sums import Product, components, distribute, is_sparse, sift
from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import (
    ZERO,
    Bracket,
    Entry,
    Expr,
    Index,
    Number,
    Reduce,
    Tensor,
    add,
    bracket,
    entry,
    fresh,
    index,
    mul,
    number,
    size,
    substitute,
    total,
    walk,
    where,
)
from gradproof.symbolic.operation import Definition


class Lowering:
    """Collects lines; alike subexpressions become one.

    `shared` holds the canonical keys of subexpressions that occur more than once.
    """

    def __init__(self, taken: Iterable[str], shared: frozenset[str] = frozenset()) -> None:
        self.lines: list[Line] = []
        self.taken = set(taken)
        self.shared = shared
        self.known: dict[str, Entry] = {}
        self.known_free: dict[str, tuple[Index, ...]] = {}
        self.safe: dict[str, Entry] = {}
        self.formulas: dict[Tensor, Definition] = {}
        self.temporary: set[Tensor] = set()
        self.stepped: dict[Tensor, Tensor] = {}
        self.truths: set[Tensor] = set()
        self.products: set[frozenset[Axis]] = set()
        self.order: tuple[Index, ...] = ()
        self.hint = "part"

    # --- names

    def claim(self, name: str) -> str:
        stem, count = name, 1
        while name in self.taken:
            count += 1
            name = f"{stem}{count}"
        self.taken.add(name)
        return name

    def ordered(self, free: Iterable[Index]) -> tuple[Index, ...]:
        """Indices in the order of the definition at hand, others behind them (batch axes before them)."""
        place = {i: n for n, i in enumerate(self.order)}
        return tuple(sorted(free, key=lambda i: (place.get(i, -1 if i.axis.variadic else len(place)), i.key)))

    def temp(self, indices: tuple[Index, ...], name: str) -> Tensor:
        made = Tensor(self.claim(name), tuple(i.axis for i in indices))
        self.temporary.add(made)
        return made

    # --- definitions

    def define(self, d: Definition) -> None:
        """Append the lines of a definition."""
        self.order, self.hint = d.indices, d.target.name
        self.formulas[d.target] = d
        key, free = canonical(d.value)
        if key in self.known and len(free) == len(d.indices):
            value = self.recall(key, free)
        else:
            value = self.value(d.value, root=True)
            if set(free) == set(d.indices) and not isinstance(value, Number):
                self.remember(key, free, entry(d.target, *d.indices))
        self.finish(d.target, d.indices, value)

    def remember(self, key: str, free: tuple[Index, ...], read: Entry) -> None:
        self.known[key], self.known_free[key] = read, free

    def recall(self, key: str, free: tuple[Index, ...]) -> Expr:
        return substitute(self.known[key], dict(zip(self.known_free[key], free, strict=True)))

    def finish(self, target: Tensor, indices: tuple[Index, ...], value: Expr) -> None:
        """Append the line, or lines, that give the target its value, reductions and gathers being done."""
        if is_truth(value, self.truths):
            self.truths.add(target)
        along = next((i for i in indices if i.axis.size is not None and selects(value, i)), None)
        if along is not None:
            assert along.axis.size is not None
            parts = tuple(substitute(value, {along: number(n)}) for n in range(along.axis.size))
            self.lines.append(Stack(target, indices, along, parts))
        elif any(is_sparse(n, indices) for n in walk(value)):
            self.scatter_terms(target, indices, value)
        elif not self.rename_last(target, indices, value):
            self.lines.append(Elementwise(target, indices, value))

    def rename_last(self, target: Tensor, indices: tuple[Index, ...], value: Expr) -> bool:
        """Give the last line this target, where its result is the value as it stands."""
        if not (isinstance(value, Entry) and value.indices == indices and self.lines):
            return False
        last = self.lines[-1]
        if value.tensor not in self.temporary or getattr(last, "target", None) != value.tensor:
            return False
        self.lines[-1] = replace(last, target=target)  # pyright: ignore[reportCallIssue]
        self.temporary.discard(value.tensor)
        if value.tensor in self.truths:
            self.truths.add(target)
        for key, read in self.known.items():
            if read.tensor == value.tensor:
                self.known[key] = entry(target, *read.indices)
        return True

    def scatter_terms(self, target: Tensor, indices: tuple[Index, ...], value: Expr) -> None:
        """Terms with a factor `[k == data]` are added at one position of each row."""
        dense, sparse = distribute(value, indices, self.place)
        base: Entry | None = None
        if dense is not ZERO:
            base = self.named(dense, f"{target.name}_dense", indices)
        for n, term in enumerate(sparse, 1):
            k, data, rest = term
            over = tuple(i for i in indices if i is not k)
            amount = self.named(self.value(rest), f"{target.name}_at", over)
            made = target if n == len(sparse) else self.temp(indices, f"{target.name}_part")
            positions = tuple(data if i is k else i for i in indices)
            self.lines.append(Scatter(made, indices, base, positions, over, amount))
            base = entry(made, *indices)

    def named(self, value: Expr, name: str, indices: tuple[Index, ...]) -> Entry:
        """The value as an entry over exactly these indices."""
        if isinstance(value, Entry) and value.indices == indices:
            return value
        made = self.temp(indices, name)
        self.finish(made, indices, value)
        return entry(made, *indices)

    # --- values

    def value(self, expr: Expr, *, root: bool = False) -> Expr:
        """The elementwise value of an expression; what is no elementwise operation gets a line of its own."""
        if not expr.children or isinstance(expr, Number):
            return expr
        if isinstance(expr, Entry):
            return self.read(expr)
        shareable = not root and worth_a_name(expr)
        key, free = canonical(expr) if shareable or isinstance(expr, Reduce) else ("", ())
        if key and key in self.known:
            return self.recall(key, free)
        if isinstance(expr, Reduce):
            made = self.reduction(expr)
            if isinstance(made, Entry):
                self.remember(key, free, made)
            return made
        made = self.rebuilt(expr)
        if shareable and key in self.shared and not isinstance(made, Entry | Number):
            made = self.named(made, describe(made), self.stored(made))
            self.remember(key, free, made)
        return made

    def stored(self, value: Expr) -> tuple[Index, ...]:
        """The indices of a value in the order of an entry that has them all: nothing is transposed."""
        for node in walk(value):
            if isinstance(node, Entry) and node.free == value.free:
                indices = tuple(i for i in node.indices if isinstance(i, Index))
                if len(indices) == len(node.indices) == len(value.free):
                    return indices
        return self.ordered(value.free)

    def rebuilt(self, expr: Expr) -> Expr:
        whole = as_operation(expr)
        if whole is not None:
            return whole[1](*(self.value(part) for part in whole[0]))
        return expr.rebuild(tuple(self.value(child) for child in expr.children))

    def read(self, expr: Entry) -> Expr:
        if all(isinstance(i, Index | Number) for i in expr.indices):
            return expr
        formula = self.formulas.get(expr.tensor)
        if formula is not None and not any(isinstance(n, Reduce) for n in walk(formula.value)):
            # A few entries of a formula are computed from the same entries of what it reads.
            moved = substitute(formula.value, dict(zip(formula.indices, expr.indices, strict=True)))
            value = self.value(moved)
            return self.named(value, f"{expr.tensor.name}_at", self.ordered(value.free))
        while len(by_data := [n for n, i in enumerate(expr.indices) if isinstance(i, Entry)]) > 1:
            expr = self.gathered(expr, by_data[0])
        return self.gathered(expr, by_data[0])

    def gathered(self, expr: Entry, place: int) -> Entry:
        """The entry with the position that is data taken, at all positions of the data behind it."""
        whole = [
            fresh(expr.free, index(f"{a.name}_all", a)) if n != place and isinstance(i, Entry) else i
            for n, (i, a) in enumerate(zip(expr.indices, expr.tensor.axes, strict=True))
        ]
        source = entry(expr.tensor, *whole)
        indices = self.ordered(source.free)
        made = self.temp(indices, f"{expr.tensor.name}_at")
        self.lines.append(Gather(made, indices, source))
        pairs = zip(whole, expr.indices, strict=True)
        passing = {i: old for i, old in pairs if i is not old and isinstance(i, Index)}
        read = substitute(entry(made, *indices), passing)
        assert isinstance(read, Entry)
        return read

    def place(self, data: Entry, k: Index) -> tuple[Expr, Entry]:
        """Whether a datum lies on the axis of `k`, and a position that does in any case."""
        valid = mul(bracket(">=", data, 0), bracket("<", data, size(k.axis)))
        key, free = canonical(valid)
        if key not in self.known:
            indices = self.ordered(data.free)
            hit = self.named(valid, f"{data.tensor.name}_counts", indices)
            made = Tensor(self.claim(f"{data.tensor.name}_safe"), tuple(i.axis for i in indices), "integer")
            self.lines.append(Elementwise(made, indices, where(hit, data, 0)))
            self.remember(key, free, hit)
            self.safe[key] = entry(made, *indices)
        read = self.recall(key, free)
        at = substitute(self.safe[key], dict(zip(self.known_free[key], free, strict=True)))
        assert isinstance(at, Entry)
        return read, at

    # --- sums

    def reduction(self, node: Reduce) -> Expr:
        if node.kind == "max":
            body = self.value(node.body)
            return self.reduce_line("max", node.indices, body)
        terms = components(node)
        return add(*(self.product(t) for t in terms))

    def reduce_line(self, kind: str, over: Sequence[Index], body: Expr) -> Expr:
        indices = self.ordered(body.free - set(over))
        made = self.temp(indices, f"{self.hint}_{'max' if kind == 'max' else 'sum'}")
        self.lines.append(Reduction(made, indices, "max" if kind == "max" else "sum", tuple(over), body))
        return entry(made, *indices)

    def product(self, term: Product) -> Expr:
        """`outer * sum over bound of product of factors`, as lines."""
        term = sift(term, self.place)
        outer = [self.value(f) for f in term.outer]
        scattered = self.scattered(term)
        if scattered is not None:
            return mul(*outer, scattered)
        if not term.bound:
            return mul(*outer, *(self.value(f) for f in term.factors))
        operands = [self.value(f) for f in term.factors]
        return mul(*outer, self.contract(operands, term.bound))

    def scattered(self, term: Product) -> Expr | None:
        """`sum_b [v == data_b] f_b`: every `f_b` is added at its position."""
        for factor in term.factors:
            if not (isinstance(factor, Bracket) and factor.relation == "=="):
                continue
            for v, data in ((factor.left, factor.right), (factor.right, factor.left)):
                if (
                    isinstance(v, Index)
                    and v not in term.bound
                    and isinstance(data, Entry)
                    and data.free & term.bound
                ):
                    added = mul(*(f for f in term.factors if f is not factor))
                    if data.tensor.domain == "integer":  # some lie beyond the axis
                        valid, data = self.place(data, v)
                        added = where(valid, added, 0)
                    rest = self.value(added)
                    extra = self.ordered((rest.free - {v}) - term.bound)
                    over = (*self.ordered(term.bound), *extra)
                    amount = self.named(rest, f"{self.hint}_at", over)
                    indices = self.ordered({v, *extra})
                    made = self.temp(indices, f"{self.hint}_sum")
                    positions = tuple(data if i is v else i for i in indices)
                    self.lines.append(Scatter(made, indices, None, positions, over, amount))
                    return entry(made, *indices)
        return None

    def contract(self, operands: list[Expr], bound: frozenset[Index]) -> Expr:
        """The sum of a product of elementwise values, two at a time."""
        groups = merge_alike(operands)
        if not bound:
            return mul(*groups)
        for i in sorted(bound, key=lambda i: i.key):
            holders = [g for g in groups if i in g.free]
            if len(holders) == 1 and len(groups) > 1:
                groups.remove(holders[0])
                groups.append(self.reduce_line("sum", (i,), holders[0]))
                return self.contract(groups, bound - {i})
        if len(groups) == 1:
            return self.reduce_line("sum", self.ordered(bound), groups[0])
        if len(groups) == 2:
            return self.pair(groups[0], groups[1], bound)
        a, b = cheapest(groups, bound, self.products)
        others = [g for g in groups if g is not a and g is not b]
        done = frozenset(i for i in bound if not any(i in o.free for o in others))
        return self.contract([self.joined(a, b, done), *others], bound - done)

    def joined(self, a: Expr, b: Expr, over: frozenset[Index]) -> Expr:
        """The product of two of several operands, summed as far as the others allow; alike ones once."""
        key, free = canonical(total(mul(a, b), *self.ordered(over)))
        if key in self.known:
            return self.recall(key, free)
        made = (
            self.pair(a, b, over)
            if over
            else self.named(mul(a, b), f"{self.hint}_t", self.ordered(a.free | b.free))
        )
        if isinstance(made, Entry):
            self.products.add(frozenset(i.axis for i in made.free))
            self.remember(key, free, made)
        return made

    def pair(self, a: Expr, b: Expr, over: frozenset[Index]) -> Expr:
        if (a.free <= b.free and not (b.free - a.free - over)) or (
            b.free <= a.free and not (a.free - b.free - over)
        ):
            return self.reduce_line("sum", self.ordered(over), mul(a, b))
        left, right = (self.operand(x) for x in (a, b))
        indices = self.ordered((left.free | right.free) - over)
        made = self.temp(indices, f"{self.hint}_sum")
        self.lines.append(Contraction(made, indices, left, right, self.ordered(over)))
        return entry(made, *indices)

    def operand(self, value: Expr) -> Entry:
        if isinstance(value, Entry) and self.multiplies(value):
            return value
        return self.named(value, f"{self.hint}_factor", self.ordered(value.free))

    def multiplies(self, read: Entry) -> bool:
        """Whether an entry can be an operand of a matrix product as it stands: real, and no diagonal."""
        real = read.tensor.dtype == "real" and read.tensor not in self.truths
        return real and len(set(read.indices)) == len(read.indices)
