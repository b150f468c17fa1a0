"""What a row of the table of special functions says: derivatives, domain, value in balls, signs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from gradproof.symbolic.domain import REALS, Interval
from gradproof.symbolic.expressions import Expr, call

T = TypeVar("T")
Of = (
    Callable[[Expr], T]
    | Callable[[Expr, Expr], T]
    | Callable[[Expr, Expr, Expr], T]
    | Callable[[Expr, Expr, Expr, Expr], T]
)
"""A function of the arguments of a row, as many as the row has."""
Ball = (
    Callable[[Any], Any]
    | Callable[[Any, Any], Any]
    | Callable[[Any, Any, Any], Any]
    | Callable[[Any, Any, Any, Any], Any]
)
Derivative = Of[Expr]
Needs = tuple[tuple[Expr, str], ...]


@dataclass(frozen=True)
class Order:
    """An argument by which a function has a derivative that is in no table.

    - `place`: which one;
    - `continued`: the function of complex balls, holomorphic in that argument around real points at which the
      demands hold;
    - `reach`: a ball with how far around (less than that), None where it is entire.
    """

    place: int
    continued: Ball
    reach: Ball | None = None

    def value(self, arguments: Sequence[Any]) -> Any:
        """The function of complex balls."""
        return cast("Callable[..., Any]", self.continued)(*arguments)

    def distance(self, arguments: Sequence[Any]) -> Any:
        """The reach at some arguments, None for an entire function."""
        return None if self.reach is None else cast("Callable[..., Any]", self.reach)(*arguments)


@dataclass(frozen=True)
class Special:
    """A function of one or more real variables.

    - `derivatives`: by each argument, as a function of the arguments; None where there is no closed form;
    - `ball`: its value in ball arithmetic, not finite where it has none;
    - `needs`: what must compare with 0 how for it to have a value;
    - `even_or_odd`: 1 or -1, in its last argument;
    - `signed`: it has the sign of its argument;
    - `positive_where`: what has to be above 0 for it to be positive;
    - `bounds`: an interval that holds every value;
    - `orders`: the arguments without a closed derivative whose derivative can be enclosed in balls;
    - `partial`: of such a derivative, whose it is and by which argument.
    """

    name: str
    derivatives: tuple[Derivative | None, ...]
    ball: Ball
    needs: Of[Needs] | None = None
    even_or_odd: Of[int | None] | None = None
    signed: bool = False
    positive_where: Of[Sequence[Expr]] | None = None
    bounds: Interval = REALS
    source: str = ""
    orders: tuple[Order, ...] = ()
    partial: tuple[str, int] | None = None

    def derivative(self, place: int, arguments: Sequence[Expr]) -> Expr | None:
        """The partial derivative by one argument, None where nothing is known of it."""
        found = self.derivatives[place]
        if found is not None:
            return _applied(found, arguments)
        known = any(order.place == place for order in self.orders)
        return call(partial_name(self.name, place), *arguments) if known else None

    def value(self, arguments: Sequence[Any]) -> Any:
        """The value in ball arithmetic."""
        return cast("Callable[..., Any]", self.ball)(*arguments)

    def demands(self, arguments: Sequence[Expr]) -> Needs:
        """What must compare with 0 how (`>`, `>=`, `!=`) for there to be a value."""
        return () if self.needs is None else _applied(self.needs, arguments)

    def parity(self, arguments: Sequence[Expr]) -> int | None:
        """1 or -1 if the function is even or odd in its last argument."""
        return None if self.even_or_odd is None else _applied(self.even_or_odd, arguments)

    def positive(self, arguments: Sequence[Expr]) -> Sequence[Expr] | None:
        """What has to be above 0 for the value to be, None where nothing is said."""
        return None if self.positive_where is None else _applied(self.positive_where, arguments)


def partial_name(name: str, place: int) -> str:
    """What a derivative without closed form is called; no formula can hold that name."""
    return f"{name}'{place + 1}"


def _applied(of: Of[T], arguments: Sequence[Expr]) -> T:
    return cast("Callable[..., T]", of)(*arguments)
