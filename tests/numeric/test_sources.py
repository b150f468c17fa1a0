"""The generated sources of the whole catalogue are those kept in `tests/numeric/generated/`.

A change of a source is looked at as a diff and accepted by `pytest tests/numeric/test_sources.py --accept`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gradproof.numeric.kernels import lower
from gradproof.symbolic.operation import find, operations

KEPT = Path(__file__).parent / "generated"
LABELS = [variant.label for op in operations().values() for variant in op.variants]


def path(label: str, target: str) -> Path:
    """Where the source of an operation is kept: `attention(mask=causal)` in `attention-mask-causal.py`."""
    stem = "".join(c if c.isalnum() or c == "_" else "-" for c in label).strip("-")
    return KEPT / target / f"{stem}.py"


REPEATED = [label for label in LABELS if lower(find(label), "torch").loops]
KEPT_FOR = [(label, target) for target in ("numpy", "torch") for label in LABELS]
KEPT_FOR += [(label, "c") for label in REPEATED]
KEPT_FOR += [(label, "triton") for label in (*REPEATED, "silu", "softmax", "cross_entropy", "layer_norm")]


@pytest.mark.parametrize(("label", "target"), KEPT_FOR)
def test_source_is_the_one_kept(label: str, target: str, accept: bool) -> None:
    source, kept = lower(find(label), target).source, path(label, target)
    if accept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(source, encoding="utf-8")
    assert kept.exists(), f"no source of {label} is kept; look at it and accept it with --accept"
    assert source == kept.read_text(encoding="utf-8"), (
        "the source changed; look at the diff and accept it with --accept"
    )


def test_nothing_is_kept_that_is_not_generated() -> None:
    wanted = {path(label, target) for label, target in KEPT_FOR}
    assert set(KEPT.rglob("*.py")) == wanted
