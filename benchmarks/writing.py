"""Expressions in index notation as expressions of PyTorch, for the baseline of the kernels' benchmark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from gradproof.symbolic.axes import Axis
from gradproof.symbolic.expressions import (
    ZERO,
    Add,
    Bracket,
    Call,
    Constant,
    Entry,
    Expr,
    Index,
    Mul,
    Number,
    Parameter,
    Power,
    Reduce,
    Size,
    Tensor,
    Where,
    mul,
    number,
    substitute,
    walk,
)


@dataclass(frozen=True)
class Code:
    """Code, the index of each of its axes, and whether it is a number of Python or holds truth values."""

    text: str
    dims: tuple[Index, ...] = ()
    plain: bool = False
    truth: bool = False


@dataclass(frozen=True)
class Placed:
    """Where a tensor is: a variable whose axes are these of the tensor's; along the others it is constant."""

    name: str
    axes: tuple[int, ...]
    plain: bool = False
    truth: bool = False


def letters(dims: Iterable[Index], known: dict[Index, str]) -> str:
    """A letter for each index, the same for the same index."""
    return "".join(known.setdefault(i, chr(97 + len(known))) for i in dims)


@dataclass
class Writer:
    """Writes definitions as lines; each expression comes back as code with its axes named."""

    lines: list[str] = field(default_factory=list[str])
    placed: dict[Tensor, Placed] = field(default_factory=dict[Tensor, Placed])
    names: Counter[str] = field(default_factory=Counter[str])
    order: tuple[Index, ...] = ()
    known: dict[Any, Code] = field(default_factory=dict[Any, Code])
    uses: Counter[Expr] = field(default_factory=Counter[Expr])

    # --- definitions

    def place(self, tensor: Tensor, name: str, axes: tuple[int, ...]) -> None:
        self.placed[tensor] = Placed(name, axes, truth=tensor.dtype == "boolean")

    def define(self, target: Tensor, indices: tuple[Index, ...], value: Expr, name: str) -> None:
        self.order, self.known, self.uses = natural_order(indices, value), {}, Counter(walk(value))
        made = self.code(value)
        self.order = indices
        made = self.ordered(made)
        self.lines.append(f"{name} = {made.text}")
        self.placed[target] = Placed(name, tuple(indices.index(i) for i in made.dims), made.plain, made.truth)

    def whole(self, tensor: Tensor) -> str:
        """A tensor with all its axes."""
        at = self.placed[tensor]
        if len(at.axes) == len(tensor.axes) and not at.plain:
            return at.name
        sizes = ", ".join(self.size(a) for a in tensor.axes)
        shown = [":" if n in at.axes else "None" for n in range(len(tensor.axes))]
        start = f"torch.tensor({at.name}, dtype=dtype)" if at.plain else at.name
        return f"{start}[{', '.join(shown)}].expand({sizes})" if tensor.axes else start

    def size(self, axis: Axis) -> str:
        return str(axis.size) if axis.size is not None else f"n_{axis.name}"

    def let(self, code: Code, stem: str) -> Code:
        """The code under a name of its own."""
        if code.text.isidentifier():
            return code
        self.names[stem] += 1
        name = f"{stem}_{self.names[stem]}"
        self.lines.append(f"{name} = {code.text}")
        return Code(name, code.dims, code.plain, code.truth)

    # --- alignment

    def rank(self, i: Index) -> tuple[int, str]:
        return (self.order.index(i) if i in self.order else len(self.order), i.key)

    def union(self, *parts: Code) -> tuple[Index, ...]:
        return tuple(sorted({i for p in parts for i in p.dims}, key=self.rank))

    def ordered(self, code: Code) -> Code:
        """The axes in the order of the left side."""
        wanted = self.union(code)
        if wanted == code.dims:
            return code
        places = ", ".join(str(code.dims.index(i)) for i in wanted)
        return Code(f"({code.text}).permute({places})", wanted, code.plain, code.truth)

    def align(self, code: Code, dims: Sequence[Index]) -> str:
        """The code such that its axes meet those of `dims` in broadcasting."""
        if not code.dims:
            return code.text
        moved = self.ordered(code)
        shown = [":" if i in moved.dims else "None" for i in dims]
        while shown[0] == "None":
            del shown[0]
        text = moved.text if moved.text.isidentifier() or moved.text.endswith(")") else f"({moved.text})"
        return f"{text}[{', '.join(shown)}]" if "None" in shown else moved.text

    def combine(self, symbol: str, left: Code, right: Code) -> Code:
        dims = self.union(left, right)
        text = f"({self.align(left, dims)} {symbol} {self.align(right, dims)})"
        truth = symbol == "*" and left.truth and right.truth
        return Code(text, dims, left.plain and right.plain, truth)

    def real(self, code: Code) -> Code:
        """Truth values as numbers."""
        return Code(f"({code.text}).to(dtype)", code.dims) if code.truth and not code.plain else code

    # --- expressions

    def code(self, e: Expr) -> Code:
        if e not in self.known:
            made = self.write(e)
            if self.uses[e] > 1 and not isinstance(e, Entry | Number | Index | Size | Parameter | Constant):
                made = self.let(self.ordered(made), "part")
            self.known[e] = made
        return self.known[e]

    def write(self, e: Expr) -> Code:
        match e:
            case Number():
                return Code(repr(float(e.value)) if e.value.denominator > 1 else str(e.value), plain=True)
            case Constant():
                return Code(f"math.{e.name}", plain=True)
            case Parameter():
                return Code(e.name, plain=True)
            case Size():
                return Code(self.size(e.axis), plain=True)
            case Index():
                return Code(f"torch.arange({self.size(e.axis)}, dtype=dtype)", (e,))
            case Entry():
                return self.entry(e)
            case Add():
                return self.add(e)
            case Mul():
                return self.quotient(e) or self.mul(e)
            case Power():
                return self.power(self.code(e.base), e.exponent)
            case Call():
                return self.call(e)
            case Bracket():
                return self.bracket(e)
            case Where():
                return self.where(e)
            case Reduce():
                return self.reduce(e)
            case _:
                raise NotImplementedError(f"{type(e).__name__} is not written out")

    def add(self, e: Add) -> Code:
        parts = [(_negative(t), self.real(self.code(-t if _negative(t) else t))) for t in e.terms]
        parts.sort(key=lambda part: part[0])
        total = parts[0][1]
        if parts[0][0]:
            total = Code(f"(-{total.text})", total.dims, total.plain)
        for negative, term in parts[1:]:
            total = self.combine("-" if negative else "+", total, term)
        return total

    def mul(self, e: Mul) -> Code:
        above = [f for f in e.factors if not (isinstance(f, Power) and f.exponent == -1)]
        below = [f.base for f in e.factors if isinstance(f, Power) and f.exponent == -1]
        top, bottom = self.product(map(self.code, above)), self.product(map(self.code, below))
        if bottom is None:
            assert top is not None
            return top
        return self.combine("/", self.real(top) if top else Code("1", plain=True), bottom)

    def product(self, factors: Iterable[Code]) -> Code | None:
        """The product, small factors first; numbers of Python are multiplied by one another."""
        total: Code | None = None
        for factor in sorted(factors, key=lambda f: len(f.dims)):
            total = factor if total is None else self.combine("*", total, factor)
        return total

    def power(self, base: Code, exponent: Fraction) -> Code:
        base = self.real(base)
        if base.plain:
            return Code(f"({base.text}) ** {float(exponent)!r}", plain=True)
        methods = {Fraction(1, 2): "sqrt", Fraction(-1, 2): "rsqrt", Fraction(2): "square"}
        methods[Fraction(-1)] = "reciprocal"
        if exponent in methods:
            return Code(f"torch.{methods[exponent]}({base.text})", base.dims)
        shown = exponent.numerator if exponent.denominator == 1 else float(exponent)
        return Code(f"(({base.text}) ** {shown})", base.dims)

    def call(self, e: Call) -> Code:
        (inner,) = e.arguments
        if e.function == "log" and isinstance(inner, Reduce) and _sums_exponentials(inner):
            return self.log_sum_exp(inner.indices, inner.body.children[0])
        argument = self.real(self.code(inner))
        if argument.plain:
            return Code(f"math.{e.function}({argument.text})", plain=True)
        home = "torch.nn.functional" if e.function == "softplus" else "torch"
        return Code(f"{home}.{e.function}({argument.text})", argument.dims)

    def entry(self, e: Entry) -> Code:
        at = self.placed[e.tensor]
        positions = [e.indices[n] for n in at.axes]
        fixed = [n for n, p in enumerate(positions) if isinstance(p, Number)]
        name = at.name
        for n in reversed(fixed):
            at_n = positions.pop(n)
            assert isinstance(at_n, Number)
            name = f"{self.unbound(name, n)}[{at_n.value}]"
        looked = [n for n, p in enumerate(positions) if not isinstance(p, Index)]
        if len(looked) > 1 or len({*positions}) < len(positions):
            raise NotImplementedError(f"{e} is not written out")
        dims = tuple(p for p in positions if isinstance(p, Index))
        if looked:
            (n,) = looked
            chosen = self.code(positions[n])
            dims = (*dims[:n], *chosen.dims, *dims[n:])
            name = f"{name}[{':, ' * n}{chosen.text}]"
        return Code(name, dims, at.plain, at.truth)

    def unbound(self, name: str, place: int) -> str:
        """The parts of a tensor along an axis, taken apart once."""
        parts = f"{name}_parts{place}".replace("[", "_").replace("]", "")
        line = f"{parts} = {name}.unbind({place})"
        if line not in self.lines:
            self.lines.append(line)
        return parts

    # --- cases

    def bracket(self, e: Bracket) -> Code:
        left, right = self.code(e.left), self.code(e.right)
        made = self.combine(e.relation, left, right)
        return Code(made.text, made.dims, made.plain, truth=True)

    def where(self, e: Where) -> Code:
        c = e.condition
        if isinstance(c, Bracket) and c.relation == ">" and (c.left, c.right, e.no) == (e.yes, ZERO, ZERO):
            inner = self.code(e.yes)
            return Code(f"torch.relu({inner.text})", inner.dims)
        enumerated = isinstance(c, Bracket) and next((i for i in c.free if i.axis.size is not None), None)
        if enumerated and len(c.free) == 1:
            return self.stack(e, enumerated)
        condition, yes, no = self.code(c), self.real(self.code(e.yes)), self.real(self.code(e.no))
        if condition.plain:
            dims = self.union(yes, no)
            return Code(f"({self.align(yes, dims)} if {condition.text} else {self.align(no, dims)})", dims)
        dims = self.union(condition, yes, no)
        test = self.align(condition, dims) if condition.truth else f"({self.align(condition, dims)} != 0)"
        return Code(f"torch.where({test}, {self.align(yes, dims)}, {self.align(no, dims)})", dims)

    def stack(self, e: Where, over: Index) -> Code:
        """Cases by the value of an index of fixed size: one part for each value."""
        assert over.axis.size is not None
        parts = [self.code(substitute(e, {over: number(n)})) for n in range(over.axis.size)]
        dims = self.union(*parts)
        if any(set(p.dims) != set(dims) for p in parts):
            raise NotImplementedError(f"{e} is not written out: its cases differ in their axes")
        texts = ", ".join(self.ordered(p).text for p in parts)
        return Code(f"torch.stack(({texts}), -1)", (*dims, over))

    # --- reductions

    def reduce(self, e: Reduce) -> Code:
        if e.kind == "sum" and isinstance(e.body, Mul):
            return self.contract(e.indices, e.body)
        return self.collapse(e.kind, e.indices, self.code(e.body))

    def collapse(self, kind: str, indices: Sequence[Index], body: Code) -> Code:
        places = [n for n, i in enumerate(body.dims) if i in indices]
        rest = tuple(i for i in body.dims if i not in indices)
        missing = [self.size(i.axis) for i in indices if i not in body.dims]
        method = f"amax({tuple(places)})" if kind == "max" else f"sum({tuple(places)}, dtype=dtype)"
        made = Code(f"({body.text}).{method}", rest) if places else self.real(body)
        if missing and kind == "sum":
            made = self.combine("*", made, Code("*".join(missing), plain=True))
        return made

    def contract(self, indices: Sequence[Index], body: Mul) -> Code:
        """A sum of products: factors without the indices in front, the rest as one product or `einsum`."""
        codes = [self.code(f) for f in body.factors]
        inside = [c for c in codes if set(c.dims) & set(indices)]
        outside = [c for c in codes if not set(c.dims) & set(indices)]
        if len({frozenset(c.dims) for c in inside}) > 1:
            known: dict[Index, str] = {}
            inside = sorted(inside, key=lambda c: self.leading(c, inside))
            inputs = ",".join(letters(c.dims, known) for c in inside)
            rest = tuple(i for i in self.union(*inside) if i not in indices)
            texts = ", ".join(self.real(c).text for c in inside)
            made = Code(f'torch.einsum("{inputs}->{letters(rest, known)}", {texts})', rest)
            made = self.collapse("sum", [i for i in indices if i not in known], made)
        else:
            made = self.collapse("sum", indices, self.product(inside) or Code("1", plain=True))
        whole = self.product([*outside, made])
        assert whole is not None
        return whole

    def leading(self, factor: Code, factors: Sequence[Code]) -> tuple[int, str]:
        """The first index that only this factor has: `einsum` lays out its result in the factors' order."""
        others = {i for f in factors if f is not factor for i in f.dims}
        return min((self.rank(i) for i in factor.dims if i not in others), default=(len(self.order) + 1, ""))

    # --- softmax, as a careful user writes it

    def shifted(self, argument: Code, places: tuple[int, ...]) -> tuple[Code, Code]:
        """The exponential less its largest value along some axes, and that value."""
        u = self.let(argument, "u")
        top = self.let(Code(f"{u.text}.detach().amax({places}, keepdim=True)", u.dims), "top")
        return Code(f"torch.exp({u.text} - {top.text})", u.dims), top

    def log_sum_exp(self, indices: Sequence[Index], argument: Expr) -> Code:
        u = self.code(argument)
        places = tuple(n for n, i in enumerate(u.dims) if i in indices)
        e, top = self.shifted(u, places)
        rest = tuple(i for i in u.dims if i not in indices)
        return Code(f"(torch.log({e.text}.sum({places})) + {top.text}.squeeze({places}))", rest)

    def quotient(self, e: Mul) -> Code | None:
        """`N_k / sum_j N_j` with `N` computed once; None where the product is nothing like that."""
        for factor in e.factors:
            if not (isinstance(factor, Power) and factor.exponent == -1 and isinstance(factor.base, Reduce)):
                continue
            below = factor.base
            if below.kind != "sum" or len(below.indices) != 1:
                continue
            above = mul(*(f for f in e.factors if f is not factor))
            (j,) = below.indices
            for i in above.free:
                if i.axis == j.axis and i not in below.free and substitute(below.body, {j: i}) is above:
                    return self.normalized(above, i)
        return None

    def normalized(self, above: Expr, i: Index) -> Code:
        factors = above.factors if isinstance(above, Mul) else (above,)
        parts: list[Code] = []
        for f in factors:
            if isinstance(f, Call) and f.function == "exp" and i in f.free:
                u = self.ordered(self.code(f.arguments[0]))
                parts.append(self.shifted(u, (u.dims.index(i),))[0])
            else:
                parts.append(self.code(f))
        total = self.product(parts)
        assert total is not None
        made = self.let(self.ordered(total), "e")
        place = made.dims.index(i)
        return Code(f"({made.text} / {made.text}.sum({place}, keepdim=True))", made.dims)


def natural_order(indices: tuple[Index, ...], value: Expr) -> tuple[Index, ...]:
    """The order of the entry with the most axes where it has all of the left side, else the left side's."""
    entries = [e.indices for e in walk(value) if isinstance(e, Entry)]
    plain = [
        tuple(i for i in e if isinstance(i, Index)) for e in entries if all(isinstance(i, Index) for i in e)
    ]
    longest = max(plain, key=len, default=())
    return longest if set(indices) <= set(longest) else indices


def _sums_exponentials(reduced: Reduce) -> bool:
    body = reduced.body
    return reduced.kind == "sum" and isinstance(body, Call) and body.function == "exp"


def _negative(term: Expr) -> bool:
    first = term.factors[0] if isinstance(term, Mul) else term
    return isinstance(first, Number) and first.value < 0
