"""Ten training steps of each model against the same model in plain PyTorch with autograd."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gradproof.models.configuration import make_configuration
from gradproof.models.runs import make_task, new_run
from tests.models import plain

TEXT = "Roses are red, violets are blue; whoever reads this has read it too. " * 30
ROWS = "".join(
    f"{'up ' * (n % 5)}and {'down' if n % 3 else 'away'} {n % 7},{'abc'[n % 3]}\n" for n in range(80)
)
PAIRS = "".join(f"{n} {'plus' if n % 2 else 'and'} {n % 9}\t{n % 9} {n}\n" for n in range(80))
SIZES = {
    "width": 12,
    "heads": 3,
    "layers": 2,
    "context": 10,
    "batch": 8,
    "dropout": 0.0,
    "warmup": 2,
    "lr": 1e-2,
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"char-lm {kind}": ("char-lm", {"model": kind}) for kind in ("rnn", "lstm", "gru", "transformer")},
    "char-lm lstm not tied": ("char-lm", {"model": "lstm", "tied": False}),
    "char-lm rotary rms": ("char-lm", {"model": "transformer", "positions": "rotary", "norm": "rms"}),
    "char-lm sinusoidal": ("char-lm", {"model": "transformer", "positions": "sinusoidal", "tied": False}),
    **{f"classify {kind}": ("classify", {"model": kind}) for kind in ("mlp", "lstm", "transformer")},
    "classify lstm one way": ("classify", {"model": "lstm", "bidirectional": False}),
    **{f"translate {kind}": ("translate", {"model": kind}) for kind in ("lstm", "transformer")},
}


def write_data(task: str, folder: Path) -> dict[str, Any]:
    name, text = {
        "char-lm": ("text.txt", TEXT),
        "classify": ("rows.csv", f"text,label\n{ROWS}"),
        "translate": ("pairs.tsv", PAIRS),
    }[task]
    (folder / name).write_text(text, encoding="utf-8")
    columns = {"source": "1", "target": "2"} if task == "translate" else {}
    return {"data": str(folder / name), **columns}


def make_plain(task: Any) -> nn.Module:
    saved, options = task.to_dict(), task.options
    if task.name == "char-lm":
        kind = plain.GPT if options.model == "transformer" else plain.RecurrentLM
        return kind(options, len(saved["vocabulary"]))
    if task.name == "classify":
        return plain.Classifier(options, len(saved["vocabulary"]), len(saved["labels"]))
    return plain.Translator(options, len(saved["source"]), len(saved["target"]))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_ten_steps_have_the_losses_of_autograd(case: str, dtype: str, tmp_path: Path) -> None:
    name, options = CASES[case]
    given = {**SIZES, **options, **write_data(name, tmp_path), "steps": 10, "dtype": dtype}
    configuration = make_configuration(name, {}, given)
    ours = new_run(configuration, tmp_path / "ours")
    task: Any = make_task(configuration)
    reference = make_plain(task).to(next(ours.task.model.parameters()).dtype)
    reference.load_state_dict(copy.deepcopy(ours.task.model.state_dict()))
    task.model = reference
    task.criterion = nn.CrossEntropyLoss()
    theirs = type(ours)(task, configuration, tmp_path / "theirs", torch.device("cpu"))
    ours.started = theirs.started = 0.0
    found, expected = [ours.step().loss for _ in range(10)], [theirs.step().loss for _ in range(10)]
    assert found == pytest.approx(expected, rel=1e-9 if dtype == "float64" else 1e-5)
    assert found[-1] < found[0]
    if dtype == "float64":
        weights = dict(reference.named_parameters())
        for parameter, tensor in ours.task.model.named_parameters():
            torch.testing.assert_close(tensor, weights[parameter], rtol=1e-7, atol=1e-9)
