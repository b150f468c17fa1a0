r"""Claims in documents, checked like doctests: Markdown, reStructuredText, LaTeX and Jupyter notebooks.

In Markdown, and in the Markdown cells of a notebook, a claim is a fenced block marked `claim`; in
reStructuredText it is the directive `claim`, in LaTeX an environment `claim` or `gradproof`. Its lines say
what a claims file says, one `name: value` each, or state an equation `left = right`:

    function: x @ W.T
    axes: x[batch, d], W[out, d]
    wrt: W
    kind: vjp
    claim: g.T @ x
    verdict: proved

In the environment `claim` the equation is the LaTeX that is set; what else there is to say stands behind
`%:`. The verdict that is stated is the one that is expected, *proved* where none is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gradproof.symbolic.claims_file import ClaimError, Line, read_claim
from gradproof.symbolic.verdict import Verdict

SUFFIXES = frozenset((".md", ".markdown", ".rst", ".tex", ".ipynb"))
OUTCOMES = ("proved", "refuted", "undecided")
_KEYS = ("function", "claim", "wrt", "kind", "axes", "domain", "where", "cotangent", "latex", "verdict", "id")
_PAIR = re.compile(rf"\s*({'|'.join(_KEYS)})\s*:(?!=)\s*(.*?)\s*$")
_FENCE = re.compile(r"( {0,3})(`{3,}|~{3,})\s*claim\b[ \t]*(.*?)\s*$")
_DIRECTIVE = re.compile(r"(\s*)\.\.\s+claim::\s*(.*?)\s*$")
_BEGIN = re.compile(r"\s*\\begin\{(claim|gradproof)\}(?:\[([^\]]*)\])?\s*$")
_AXES = re.compile(r"\s*(\w+)\s*\[([^\]]*)\]\s*[,;]?")


@dataclass(frozen=True)
class Block:
    """A claim in a document.

    - `line`: where it stands, and its claim or why it is none;
    - `expected`: the verdict that is stated, if one is;
    - `verdict_at`: the line that states it, or the one before which it would stand, counted from 0;
    - `lead`: what stands in front of a line of the block; `cell`: the cell of a notebook.
    """

    line: Line
    expected: str | None
    verdict_at: int
    lead: str
    cell: int | None = None

    def judged(self, verdict: Verdict) -> Verdict:
        """The verdict with a note where it is not the one that is expected."""
        wanted = self.expected or "proved"
        if verdict.verdict == wanted:
            return verdict
        return replace(verdict, notes=(*verdict.notes, f"the document says {wanted}"))

    def outcome(self, verdict: Verdict, updated: bool = False) -> str:
        """What the block counts as: *proved* where the expected verdict is found, or was written in."""
        if updated and self.line.claim is not None:
            return "proved"
        if verdict.verdict == (self.expected or "proved"):
            return "proved"
        return "refuted" if verdict.verdict == "proved" else verdict.verdict


def is_document(path: Path) -> bool:
    """Whether a file is read as a document rather than as JSON lines."""
    return path.suffix.lower() in SUFFIXES


def read_document(path: Path) -> list[Block]:
    """The claims of a document; raises OSError, or UnicodeDecodeError for one that is no text."""
    return list(blocks_of(path.read_text(encoding="utf-8"), path))


def blocks_of(text: str, path: Path) -> Iterator[Block]:
    """The claims of the text of a document.

    >>> text = "Some words.\\n\\n```claim\\nd/dx tanh(x) = 1 - tanh(x)**2\\n```\\n"
    >>> [(b.line.number, b.line.claim.function) for b in blocks_of(text, Path("a.md"))]
    [(3, 'd/dx tanh(x)')]
    """
    kind = path.suffix.lower()
    if kind != ".ipynb":
        yield from _blocks(text.split("\n"), kind, str(path))
        return
    for number, cell in enumerate(_cells(text), 1):
        if cell.get("cell_type") == "markdown":
            for block in _blocks(_source(cell).split("\n"), ".md", f"{path} cell {number}"):
                yield replace(block, cell=number - 1)


def _cells(text: str) -> list[dict[str, Any]]:
    try:
        return list(json.loads(text)["cells"])
    except (ValueError, KeyError, TypeError):
        return []


def _source(cell: Mapping[str, Any]) -> str:
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def _blocks(lines: Sequence[str], kind: str, source: str) -> Iterator[Block]:
    find = {".rst": _directives, ".tex": _environments}.get(kind, _fences)
    for start, name, body, end, lead in find(lines):
        yield _block(source, start, name, body, end, lead)


Found = tuple[int, str, list[tuple[int, str]], int, str]
"""Line, name, the numbered lines inside, the line behind them, and what stands in front of one."""


def _fences(lines: Sequence[str]) -> Iterator[Found]:
    n, other = 0, ""
    while n < len(lines):
        opened = _FENCE.match(lines[n])
        if other:
            other = (
                "" if lines[n].strip().startswith(other) and not lines[n].strip().strip(other[0]) else other
            )
        elif opened:
            fence = opened[2]
            end = next((m for m in range(n + 1, len(lines)) if lines[m].strip() == fence), len(lines))
            yield n, opened[3], [(m, lines[m]) for m in range(n + 1, end)], end, opened[1]
            n = end
        elif found := re.match(r" {0,3}(`{3,}|~{3,})", lines[n]):
            other = found[1]
        n += 1


def _directives(lines: Sequence[str]) -> Iterator[Found]:
    for n, line in enumerate(lines):
        found = _DIRECTIVE.match(line)
        if not found:
            continue
        end = n + 1
        while end < len(lines) and (not lines[end].strip() or lines[end].startswith(found[1] + "   ")):
            end += 1
        while not lines[end - 1].strip():
            end -= 1
        inside = [(m, re.sub(r"^(\s*):(\w+):", r"\1\2:", lines[m])) for m in range(n + 1, end)]
        yield n, found[2], inside, end, found[1] + "   "


def _environments(lines: Sequence[str]) -> Iterator[Found]:
    for n, line in enumerate(lines):
        found = _BEGIN.match(line)
        if not found:
            continue
        closing = f"\\end{{{found[1]}}}"
        end = next((m for m in range(n + 1, len(lines)) if lines[m].strip() == closing), len(lines))
        inside = [(m, lines[m]) for m in range(n + 1, end)]
        if found[1] == "claim":
            inside = [(m, _set_line(text)) for m, text in inside] + [(n, "latex: true")]
        yield n, found[2] or "", inside, end, "%: " if found[1] == "claim" else ""


def _set_line(text: str) -> str:
    """What a line of LaTeX says: what stands behind `%:`, or the mathematics without its delimiters."""
    if text.strip().startswith("%:"):
        return text.strip()[2:]
    plain = re.sub(r"(?<!\\)%.*", "", text)
    return re.sub(r"\\\[|\\\]|\$\$?|\\label\{[^}]*\}|\\(?:begin|end)\{(?:equation|align)\*?\}", " ", plain)


def _block(source: str, start: int, name: str, body: Sequence[tuple[int, str]], end: int, lead: str) -> Block:
    data: dict[str, str] = {}
    rest: list[str] = []
    verdict_at, problem = end, None
    last = ""
    for number, text in body:
        found = _PAIR.match(text)
        if found:
            last = found[1]
            if last in data:
                problem = f"{last!r} is given twice"
            data[last] = found[2]
            verdict_at = number if last == "verdict" else verdict_at
        elif text.strip() and last and text[:1].isspace() and text.startswith(lead + " ") and not rest:
            data[last] += " " + text.strip()
        elif text.strip():
            rest.append(text.strip())
    name = data.pop("id", "") or name
    label = f"{source}:{start + 1}" + (f" {name}" if name else "")
    expected = data.pop("verdict", "").split(" ")[0] or None
    if expected is not None and expected not in OUTCOMES:
        problem = f"the verdict {expected!r} is none of {', '.join(OUTCOMES)}"
    try:
        if problem:
            raise ClaimError(problem)
        claim = read_claim({"id": label, **_record(data, " ".join(rest))}, label)
        line = Line(source, start + 1, label, claim)
    except ClaimError as wrong:
        line = Line(source, start + 1, label, problem=str(wrong))
    return Block(line, expected, verdict_at, lead)


def _record(data: Mapping[str, str], equation: str) -> dict[str, Any]:
    """What stands in a block as the record of a claims file."""
    made: dict[str, Any] = dict(data)
    if equation:
        left, sign, right = _split(equation)
        if not sign or "function" in data or "claim" in data:
            raise ClaimError(f"{equation[:60]!r} is neither `name: value` nor one equation `left = right`")
        made |= {"function": left, "claim": right}
        made.setdefault("kind", "identity")
    if "wrt" in data:
        made["wrt"] = [part.strip() for part in _parts(data["wrt"], ",") if part.strip()]
    if "where" in data:
        made["where"] = [part.strip() for part in data["where"].split(";") if part.strip()]
    if "axes" in data:
        made["axes"] = _axes(data["axes"])
    if "latex" in data:
        made["latex"] = data["latex"].strip().lower() == "true"
    return made


def _split(equation: str) -> tuple[str, str, str]:
    """The two sides of an equation: at the one `=` that is neither in a comparison nor in brackets."""
    level = 0
    for n, c in enumerate(equation):
        level += (c in "([{") - (c in ")]}")
        alone = equation[n - 1 : n] not in ("=", "<", ">", "!") and equation[n + 1 : n + 2] != "="
        if c == "=" and level == 0 and alone:
            return equation[:n].strip(), "=", equation[n + 1 :].strip()
    return equation, "", ""


def _parts(text: str, mark: str) -> list[str]:
    """The parts of a text between marks outside of brackets."""
    made, level = [""], 0
    for c in text:
        level += (c in "([{") - (c in ")]}")
        if c == mark and level == 0:
            made.append("")
        else:
            made[-1] += c
    return made


def _axes(text: str) -> dict[str, list[str]]:
    made: dict[str, list[str]] = {}
    at = 0
    while at < len(text.rstrip()):
        found = _AXES.match(text, at)
        if not found:
            raise ClaimError(f"axes are written `x[batch, d], W[out, d]`; found {text[at:].strip()[:40]!r}")
        made[found[1]] = [a.strip() for a in found[2].split(",") if a.strip()]
        at = found.end()
    return made


# --- writing verdicts back


def updated(text: str, path: Path, verdicts: Sequence[tuple[Block, Verdict]]) -> str:
    """The text of a document with the verdicts found, where they are not those that are expected.

    >>> text = "```claim\\ntanh(x) = x\\n```\\n"
    >>> (block,) = blocks_of(text, Path("a.md"))
    >>> print(updated(text, Path("a.md"), [(block, Verdict("undecided", reason="example"))]))
    ```claim
    tanh(x) = x
    verdict: undecided
    ```
    <BLANKLINE>
    """
    if path.suffix.lower() != ".ipynb":
        return "\n".join(_written(text.split("\n"), verdicts))
    data = json.loads(text)
    for number, cell in enumerate(data["cells"]):
        here = [(b, v) for b, v in verdicts if b.cell == number]
        if here:
            made = "\n".join(_written(_source(cell).split("\n"), here))
            cell["source"] = made if isinstance(cell["source"], str) else made.splitlines(keepends=True)
    return json.dumps(data, ensure_ascii=False, indent=1) + ("\n" if text.endswith("\n") else "")


def _written(lines: list[str], verdicts: Sequence[tuple[Block, Verdict]]) -> list[str]:
    made = list(lines)
    for block, verdict in sorted(verdicts, key=lambda pair: -pair[0].verdict_at):
        if block.line.claim is None or verdict.verdict == (block.expected or "proved"):
            continue
        if block.expected is None:
            made.insert(block.verdict_at, f"{block.lead}verdict: {verdict.verdict}")
        else:
            made[block.verdict_at] = re.sub(
                r"(verdict:?:\s*)\w+", rf"\g<1>{verdict.verdict}", made[block.verdict_at]
            )
    return made
