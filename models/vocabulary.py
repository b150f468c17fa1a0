"""A vocabulary: texts as numbers, and back."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Unit = Literal["char", "word", "field"]

PAD, UNKNOWN, BEGIN, END = "<pad>", "<unk>", "<bos>", "<eos>"
_WORDS = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
_FIELDS = re.compile(r"\n|[^\S\n]*([^\s]+)")


def split(text: str, unit: Unit) -> list[str]:
    r"""A text as tokens: its characters, its words and punctuation, or its fields between spaces.

    >>> split("It's 5.", "word")
    ["It's", '5', '.']
    >>> split("a <unk>\nb.", "field")
    ['a', '<unk>', '\n', 'b.']
    """
    if unit == "char":
        return list(text)
    if unit == "word":
        return _WORDS.findall(text)
    return [match.group(1) or "\n" for match in _FIELDS.finditer(text)]


def join(tokens: Iterable[str], unit: Unit) -> str:
    """The text of tokens; words are set apart by spaces."""
    if unit == "char":
        return "".join(tokens)
    return re.sub(r" ?\n ?", "\n", " ".join(tokens))


@dataclass(frozen=True)
class Vocabulary:
    """The tokens that a model knows, by number; those with a meaning of their own stand first.

    >>> made = Vocabulary.of(["abca"], "char", (UNKNOWN,))
    >>> made.tokens, made.encode("cab!"), made.decode([3, 1, 2])
    (('<unk>', 'a', 'b', 'c'), [3, 1, 2, 0], 'cab')
    """

    tokens: tuple[str, ...]
    unit: Unit
    special: tuple[str, ...] = (UNKNOWN,)

    @classmethod
    def of(
        cls, texts: Iterable[str], unit: Unit, special: Sequence[str] = (UNKNOWN,), size: int | None = None
    ) -> Vocabulary:
        """The tokens of texts, at most `size` of them: the frequent ones, in alphabetical order."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(split(text, unit))
        for name in special:
            counts.pop(name, None)
        kept = sorted(counts, key=lambda token: (-counts[token], token))[:size]
        return cls((*special, *sorted(kept)), unit, tuple(special))

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each token."""
        return {token: number for number, token in enumerate(self.tokens)}

    def encode(self, text: str) -> list[int]:
        unknown = self.numbers[UNKNOWN]
        return [self.numbers.get(token, unknown) for token in split(text, self.unit)]

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of tokens, without those that frame it."""
        left_out = {PAD, BEGIN, END} & set(self.special)
        return join((t for n in numbers if (t := self.tokens[n]) not in left_out), self.unit)

    def unknown(self, text: str) -> list[str]:
        """The tokens of a text that are not known, each once."""
        return [token for token in dict.fromkeys(split(text, self.unit)) if token not in self.numbers]
