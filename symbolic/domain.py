"""Domains of variables: unions of intervals with exact rational ends, of real numbers or of integers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import count, pairwise

MAX_DENOMINATOR = 6
MAX_DIGITS = 400
"""An end of an interval is written with at most so many characters."""


class DomainError(ValueError):
    """A text that is no domain."""


@dataclass(frozen=True)
class Interval:
    """The reals between two ends; an end that is None is infinite, and never closed."""

    low: Fraction | None = None
    high: Fraction | None = None
    low_closed: bool = False
    high_closed: bool = False

    def __str__(self) -> str:
        if self.low is None and self.high is None:
            return "real"
        low = "-inf" if self.low is None else str(self.low)
        high = "inf" if self.high is None else str(self.high)
        return f"{'[' if self.low_closed else '('}{low}, {high}{']' if self.high_closed else ')'}"

    def __contains__(self, value: Fraction) -> bool:
        above = self.low is None or value > self.low or (self.low_closed and value == self.low)
        below = self.high is None or value < self.high or (self.high_closed and value == self.high)
        return above and below

    @property
    def empty(self) -> bool:
        """Whether there is no number inside."""
        if self.low is None or self.high is None:
            return False
        return self.low > self.high or (self.low == self.high and not (self.low_closed and self.high_closed))

    @property
    def sign(self) -> int | None:
        """The sign that every number inside has, if there is one."""
        if self.low is not None and (self.low > 0 or (self.low == 0 and not self.low_closed)):
            return 1
        if self.high is not None and (self.high < 0 or (self.high == 0 and not self.high_closed)):
            return -1
        return 0 if self.low == self.high == 0 else None

    @property
    def nonnegative(self) -> bool:
        """Whether no number inside is below 0."""
        return self.low is not None and self.low >= 0

    def __neg__(self) -> Interval:
        low = None if self.high is None else -self.high
        high = None if self.low is None else -self.low
        return Interval(low, high, self.high_closed, self.low_closed)

    def __add__(self, other: Interval) -> Interval:
        low = None if self.low is None or other.low is None else self.low + other.low
        high = None if self.high is None or other.high is None else self.high + other.high
        return Interval(
            low, high, self.low_closed and other.low_closed, self.high_closed and other.high_closed
        )

    def __mul__(self, other: Interval) -> Interval:
        """The products, where one factor has a sign; all reals where none has."""
        for a, b in ((self, other), (other, self)):
            if a.nonnegative:
                return _times(a, b)
            if a.high is not None and a.high <= 0:
                return -_times(-a, b)
        return REALS

    def meet(self, other: Interval) -> Interval:
        """The numbers in both."""
        low, low_closed = max(
            ((i.low, i.low_closed) for i in (self, other) if i.low is not None),
            key=lambda end: (end[0], not end[1]),
            default=(None, False),
        )
        high, high_closed = min(
            ((i.high, i.high_closed) for i in (self, other) if i.high is not None),
            key=lambda end: (end[0], end[1]),
            default=(None, False),
        )
        return Interval(low, high, low_closed, high_closed)


REALS = Interval()
POSITIVE = Interval(Fraction(0))


def _times(a: Interval, b: Interval) -> Interval:
    """The products of a factor that is nowhere negative with another."""
    if b.nonnegative:
        low = (a.low or Fraction(0)) * (b.low or Fraction(0))
        closed = (a.low_closed and b.low_closed) or (
            low == 0 and ((a.low == 0 and a.low_closed) or (b.low == 0 and b.low_closed))
        )
        if a.high is None or b.high is None:
            zero = a.high == 0 or b.high == 0
            return Interval(Fraction(0), Fraction(0), True, True) if zero else Interval(low, None, closed)
        return Interval(low, a.high * b.high, closed, a.high_closed and b.high_closed)
    if b.high is not None and b.high <= 0:
        return -_times(a, -b)
    if a.high is None:
        return REALS
    low = None if b.low is None else a.high * b.low
    high = None if b.high is None else a.high * b.high
    return Interval(low, high, low is not None, high is not None)


@dataclass(frozen=True)
class Domain:
    """Where a variable lies: intervals from left to right, of which only the integers count if `integer`.

    `text` is how it was written, if its ends are no rationals: then conditions say the rest.
    """

    intervals: tuple[Interval, ...] = (REALS,)
    integer: bool = False
    text: str = ""

    def __str__(self) -> str:
        shown = " or ".join(map(str, self.intervals))
        if self.integer:
            return "integer" if shown == "real" else f"integer in {shown}"
        return shown

    def contains(self, value: Fraction) -> bool:
        """Whether a number lies in the domain.

        >>> parse_domain("[0, 1)").contains(Fraction(0)), parse_domain("|x|>1").contains(Fraction(1))
        (True, False)
        """
        if self.integer and value.denominator != 1:
            return False
        return any(value in interval for interval in self.intervals)

    @property
    def hull(self) -> Interval:
        """The least interval that holds the domain."""
        first, last = self.intervals[0], self.intervals[-1]
        return Interval(first.low, last.high, first.low_closed, last.high_closed)

    def meet(self, other: Domain) -> Domain:
        """The numbers in both; of whole ones, if this domain is of whole ones. It may hold none."""
        met = (a.meet(b) for a in self.intervals for b in other.intervals)
        return Domain(tuple(i for i in met if not i.empty), self.integer)

    def samples(self) -> Iterator[Fraction]:
        """Numbers of the domain without repetition, the simplest first: small integers, halves, thirds, ...

        >>> from itertools import islice
        >>> [str(v) for v in islice(parse_domain("(0, 1)").samples(), 5)]
        ['1/2', '1/3', '2/3', '1/4', '3/4']
        """
        seen: set[Fraction] = set()
        for value in _simple():
            if value not in seen and self.contains(value):
                seen.add(value)
                yield value
        for level in count(1):
            found = False
            for interval in self.intervals:
                for value in _inside(interval, level, self.integer):
                    if value not in seen and self.contains(value):
                        seen.add(value)
                        found = True
                        yield value
            if not found and (level > 12 or self.integer):
                return


def _simple() -> Iterator[Fraction]:
    """0, 1, -1, 2, -2, 3, then fractions of small denominators, between -4 and 4."""
    for whole in range(4):
        yield Fraction(whole)
        yield Fraction(-whole)
    for below in range(2, MAX_DENOMINATOR + 1):
        for above in range(1, 4 * below):
            yield Fraction(above, below)
            yield Fraction(-above, below)


def _inside(interval: Interval, level: int, integer: bool) -> Iterator[Fraction]:
    """Ends that belong, points that cut a bounded interval evenly, or steps away from a finite end."""
    low, high = interval.low, interval.high
    yield from (end for end in (low, high) if end is not None and end in interval)
    if low is not None and high is not None:
        yield simplest(low, high)
        yield from (low + (high - low) * Fraction(k, 2**level) for k in range(1, 2 ** min(level, 10), 2))
        if integer:
            yield from (Fraction(n) for n in range(-(-low // 1), min(high // 1, low // 1 + 64) + 1))
        return
    start = low if low is not None else high if high is not None else Fraction(0)
    whole = Fraction(start // 1)
    for step in range(4 * level - 4, 4 * level):
        yield whole + (step if high is None else -step)
        if low is None and high is None:
            yield whole - step


def simplest(low: Fraction, high: Fraction) -> Fraction:
    """The fraction of least denominator strictly between two numbers.

    >>> str(simplest(Fraction(3, 10), Fraction(7, 20)))
    '1/3'
    """
    whole = Fraction(low // 1)
    if whole + 1 < high:
        if low < 0 < high:
            return Fraction(0)
        return whole + 1 if low >= 0 else Fraction(-((-high) // 1) - 1)
    if low == whole:
        return whole + Fraction(1, int(1 / (high - whole)) + 1)
    rest = simplest(1 / (high - whole), 1 / (low - whole))
    return whole + 1 / rest


# --- reading


_NUMBER = r"[-+]?\s*(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?(?:\s*/\s*\d+)?"
_END = rf"(?:{_NUMBER}|[-+]?\s*(?:inf|oo|infinity))"
_INTERVAL = re.compile(rf"\s*([\[(])\s*({_END})\s*,\s*({_END})\s*([\])])\s*$")
_NAME = r"(?:[^\W\d]\w*)"
_BOUND = re.compile(rf"\s*(integer|real)?\s*{_NAME}?\s*(>=|<=|>|<|!=)\s*({_NUMBER})\s*$")
_BETWEEN = re.compile(rf"\s*(integer|real)?\s*({_NUMBER})\s*(<=?)\s*{_NAME}\s*(<=?)\s*({_NUMBER})\s*$")
_WORDS = {"positive": ">0", "negative": "<0", "nonnegative": ">=0", "nonpositive": "<=0", "nonzero": "!=0"}
_PARTS = re.compile(r"(?:\bor\b|∪|\bU\b)")
_OUTSIDE = re.compile(rf"\s*\|\s*\w+\s*\|\s*(>=|<=|>|<)\s*({_NUMBER})\s*$")
_WHOLE = re.compile(rf"\s*integer\s+in\s+([\[(]\s*{_END}\s*,\s*{_END}\s*[\])])\s*$")


@lru_cache(maxsize=1024)
def parse_domain(text: str) -> Domain:
    """Read the domain of one variable; raises DomainError for a text that is none.

    >>> str(parse_domain("integer >= 1")), str(parse_domain("<=2")), str(parse_domain("|x| > 1"))
    ('integer in [1, inf)', '(-inf, 2]', '(-inf, -1) or (1, inf)')
    """
    if len(text) > MAX_DIGITS:
        raise DomainError(f"a domain of {len(text)} characters is too long")
    word = text.strip()
    if word in ("real", "integer", "reals", "integers"):
        return Domain((REALS,), word.startswith("integer"))
    sign, _, kind = word.partition(" ")
    if sign in _WORDS and kind in ("", "real", "integer"):
        return parse_domain(f"{kind}{_WORDS[sign]}")
    parts = _PARTS.split(text)
    if len(parts) > 1:
        return _union([parse_domain(part) for part in parts])
    whole = _WHOLE.match(text)
    if whole:
        return Domain((_interval(whole[1]),), True)
    if word[:1] in ("(", "["):
        return Domain((_interval(text),))
    bound = _BOUND.match(text)
    if bound:
        return Domain(_beside(bound[2], _end(bound[3])), bound[1] == "integer")
    between = _BETWEEN.match(text)
    if between:
        low, high = _end(between[2]), _end(between[5])
        made = Interval(low, high, "=" in between[3], "=" in between[4])
        if made.empty:
            raise DomainError(f"{word!r} holds no number")
        return Domain((made,), between[1] == "integer")
    outside = _OUTSIDE.match(text)
    if outside:
        return _by_size(outside[1], _end(outside[2]))
    raise DomainError(
        f"{word!r} is no domain; write `real`, `(0, inf)`, `[0, 1)`, `>0`, `<=2`, `!=0`, `|x|>1`, "
        "`(0, 1) or (2, 3)` or `integer >= 1`"
    )


def _union(domains: Sequence[Domain]) -> Domain:
    """All numbers of several domains; raises DomainError for parts that meet, or are not of one kind."""
    if len({d.integer for d in domains}) > 1:
        raise DomainError("a domain is one of reals or of integers, not of both")
    intervals = sorted((i for d in domains for i in d.intervals), key=_start)
    for one, other in pairwise(intervals):
        if not one.meet(other).empty:
            raise DomainError(f"the parts {one} and {other} of a domain have numbers in common")
    return Domain(tuple(intervals), domains[0].integer)


def _start(interval: Interval) -> tuple[bool, Fraction, bool]:
    return interval.low is not None, interval.low or Fraction(0), not interval.low_closed


def _beside(relation: str, end: Fraction | None) -> tuple[Interval, ...]:
    """The numbers above or below an end, or on both sides of it."""
    return (_ray("<", end), _ray(">", end)) if relation == "!=" else (_ray(relation, end),)


def parse_domain_texts(text: str | None) -> dict[str, str]:
    """What is said of each variable; raises DomainError.

    >>> parse_domain_texts("x: real; y: (0, inf)")
    {'x': 'real', 'y': '(0, inf)'}
    """
    found: dict[str, str] = {}
    for part in (text or "").split(";"):
        if not part.strip():
            continue
        name, colon, domain = part.partition(":")
        name = name.strip()
        if not colon or not name.isidentifier():
            raise DomainError(f"{part.strip()!r} says no domain; write `x: real; y: (0, inf)`")
        if name in found:
            raise DomainError(f"two domains for {name}")
        found[name] = domain.strip()
    return found


def _interval(text: str) -> Interval:
    found = _INTERVAL.match(text)
    if not found:
        raise DomainError(
            f"{text.strip()!r} is no interval; its ends are numbers or inf, as in `[0, 1/2)` or `(0, pi/2)`; "
            "what depends on another variable is a condition (`where`), as in `x < y`"
        )
    low, high = _end(found[2]), _end(found[3])
    if (found[2].strip().lstrip("+-").strip()[0] in "io") and not found[2].strip().startswith("-"):
        raise DomainError(f"{text.strip()!r}: an interval does not start at inf")
    if (found[3].strip().lstrip("+-").strip()[0] in "io") and found[3].strip().startswith("-"):
        raise DomainError(f"{text.strip()!r}: an interval does not end at -inf")
    made = Interval(low, high, found[1] == "[" and low is not None, found[4] == "]" and high is not None)
    if made.empty:
        raise DomainError(f"{text.strip()!r} holds no number")
    return made


def _end(text: str) -> Fraction | None:
    plain = text.replace(" ", "")
    if plain.lstrip("+-") in ("inf", "oo", "infinity"):
        return None
    above, _, below = plain.partition("/")
    if below and not int(below):
        raise DomainError(f"{text.strip()!r} divides by 0")
    return Fraction(above) / int(below or 1)


def _ray(relation: str, end: Fraction | None) -> Interval:
    closed = "=" in relation
    return Interval(end, None, closed) if ">" in relation else Interval(None, end, False, closed)


def _by_size(relation: str, end: Fraction | None) -> Domain:
    assert end is not None
    if ">" in relation:
        if end < 0 or (end == 0 and "=" in relation):
            return Domain()
        return Domain((-_ray(relation, end), _ray(relation, end)))
    made = Interval(-end, end, "=" in relation, "=" in relation)
    if made.empty:
        raise DomainError(f"nothing is of size {relation} {end}")
    return Domain((made,))
