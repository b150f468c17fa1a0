"""Documentation strings as HTML: paragraphs, lists of one level, `code` and $mathematics$."""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape

from latex2mathml.converter import convert
from markupsafe import Markup

_PIECES = re.compile(r"\$([^$]+)\$|`([^`]+)`")


@lru_cache(maxsize=4096)
def latex_to_mathml(text: str) -> str:
    """LaTeX as inline MathML."""
    return convert(text)


def inline(text: str) -> Markup:
    """Text with `code` and $mathematics$, as HTML."""
    made: list[str] = []
    end = 0
    for found in _PIECES.finditer(text):
        made.append(escape(text[end : found.start()]))
        formula, code = found.groups()
        made.append(latex_to_mathml(formula) if formula else f"<code>{escape(code)}</code>")
        end = found.end()
    made.append(escape(text[end:]))
    return Markup("".join(made))


def paragraphs(text: str) -> Markup:
    """A documentation string as HTML paragraphs."""
    blocks = [block.strip() for block in re.split(r"\n\s*\n", text) if block.strip()]
    return Markup("".join(_block(block) for block in blocks))


def _block(block: str) -> str:
    if all(line.startswith(("- ", "  ")) for line in block.splitlines()):
        items = re.split(r"^- ", block, flags=re.MULTILINE)[1:]
        return f"<ul>{''.join(f'<li>{inline(_one_line(i))}</li>' for i in items)}</ul>"
    return f"<p>{inline(_one_line(block))}</p>"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def first_sentence(text: str) -> str:
    """The first sentence of a documentation string."""
    line = _one_line(text.split("\n\n")[0])
    return re.split(r"(?<=[.;:])(?<!et al\.) ", line, maxsplit=1)[0].rstrip(";:") if line else ""
