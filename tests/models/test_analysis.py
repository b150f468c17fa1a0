"""Gradient flow, saliency and curvature, against what they are by definition."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gradproof.cli import MISUSE, run
from gradproof.models.analysis import gradient_flow, saliency, top_eigenvalues
from gradproof.models.configuration import LanguageModelOptions, make_configuration
from gradproof.models.language_model import make_language_model
from gradproof.models.runs import make_task, new_run
from tests.models import plain
from tests.models.test_against_autograd import SIZES, write_data


def make(kind: Any, layers: int = 2) -> tuple[Any, Any]:
    torch.manual_seed(0)
    options = LanguageModelOptions(model=kind, width=6, heads=2, layers=layers, context=9)
    model = make_language_model(options, 5).double()
    reference = (plain.GPT if kind == "transformer" else plain.RecurrentLM)(options, 5).double()
    reference.load_state_dict(model.state_dict())
    return model, reference


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_the_flow_is_that_of_autograd(kind: str) -> None:
    model, reference = make(kind, layers=1)
    tokens = torch.randint(5, (1, 7))
    flow = gradient_flow(model, tokens)
    states, state, logits = [], None, torch.empty(0)
    for n in range(6):
        logits, state = reference(tokens[:, n : n + 1], state)
        states.append(state)
    loss = nn.functional.cross_entropy(logits[:, -1], tokens[:, -1])
    gradients = torch.autograd.grad(loss, [part for s in states[:-1] for part in s])
    count = len(states[0])
    norms = [torch.cat(gradients[n : n + count]).norm().item() for n in range(0, len(gradients), count)]
    assert flow.gradients == pytest.approx(norms, rel=1e-9)

    before = tuple(part.detach() for part in states[2])

    def step(flat: torch.Tensor) -> torch.Tensor:
        _, after = reference(tokens[:, 3:4], tuple(flat.view(count, 1, 1, -1)))
        return torch.cat([part.flatten() for part in after])

    jacobian = torch.autograd.functional.jacobian(step, torch.cat([p.flatten() for p in before]))
    assert len(flow.jacobians) == 5
    assert flow.jacobians[2] == pytest.approx(torch.linalg.svdvals(jacobian)[0].item(), rel=0.02)


def test_the_flow_of_a_transformer_is_by_its_tokens() -> None:
    model, _ = make("transformer")
    flow = gradient_flow(model, torch.randint(5, (3, 8)))
    assert len(flow.gradients) == 7
    assert flow.jacobians == []
    assert min(flow.gradients) > 0


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_integrated_gradients_add_up(kind: str) -> None:
    model, _ = make(kind)
    tokens = torch.tensor([[1, 2, 3, 4, 0, 1]])
    found = saliency(model.embedding, lambda: model(tokens)[0][0, -1, 2], steps=200)
    assert found.score == pytest.approx(model(tokens)[0][0, -1, 2].item())
    assert sum(found.integrated) == pytest.approx(found.score - found.baseline, rel=0.02, abs=1e-3)
    assert abs(found.gap) < 0.02 * abs(found.score - found.baseline) + 1e-3
    assert len(found.gradients) == 6


@pytest.mark.parametrize(
    ("task", "options"),
    [("char-lm", {"model": "gru"}), ("char-lm", {"model": "transformer"}), ("classify", {"model": "mlp"})],
)
def test_eigenvalues_are_those_of_the_hessian(task: str, options: dict[str, Any], tmp_path: Path) -> None:
    given = {
        **SIZES,
        **write_data(task, tmp_path),
        "width": 2,
        "heads": 1,
        "layers": 1,
        "context": 4,
        "batch": 3,
    }
    made = make_task(make_configuration(task, {}, {**given, **options, "vocabulary": 4}))
    model = made.model.double()
    batch, parameters = made.batch(0), list(model.parameters())

    def loss() -> torch.Tensor:
        return made.loss(model, batch, ()).mean

    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss(), parameters, create_graph=True)])
    rows = [
        torch.cat(
            [
                g.flatten()
                for g in torch.autograd.grad(part, parameters, retain_graph=True, materialize_grads=True)
            ]
        )
        for part in gradient
    ]
    hessian = torch.stack(rows)
    torch.testing.assert_close(hessian, hessian.T)
    expected = sorted(torch.linalg.eigvalsh(hessian).tolist(), key=abs, reverse=True)
    found = top_eigenvalues(loss, parameters, 3, steps=60)
    assert found == pytest.approx(expected[:3], rel=1e-6)


def test_analyze_writes_a_page_for_every_kind_of_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders: list[str] = []
    for task, model in (
        ("char-lm", "gru"),
        ("char-lm", "transformer"),
        ("classify", "lstm"),
        ("translate", "lstm"),
    ):
        given = {**SIZES, **write_data(task, tmp_path), "width": 4, "heads": 2, "layers": 1, "model": model}
        folders.append(str(tmp_path / f"{task}-{model}"))
        new_run(make_configuration(task, {}, {**given, "steps": 2}), Path(folders[-1])).run()
    out = tmp_path / "page"
    assert run(["analyze", *folders, f"--out={out}", "--eigenvalues=2", "--json"]) == 0
    models = json.loads(capsys.readouterr().out)["models"]
    assert [m["name"] for m in models] == [
        "char-lm-gru",
        "char-lm-transformer",
        "classify-lstm",
        "translate-lstm",
    ]
    assert all(len(m["eigenvalues"]) == 2 for m in models)
    assert [bool(m["flow"]) for m in models] == [True, True, False, False]
    assert all(len(m["saliency"]["tokens"]) == len(m["saliency"]["integrated"]) for m in models)
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2
    assert json.loads((out / "analysis.json").read_text(encoding="utf-8"))["models"] == models
    assert (
        run(["analyze", folders[0], f"{folders[0]}/last.safetensors", f"--out={out}", "--eigenvalues=0"]) == 0
    )
    alike = json.loads((out / "analysis.json").read_text(encoding="utf-8"))["models"]
    assert [m["name"] for m in alike] == [folders[0], f"{folders[0]}/last.safetensors"]
    assert run(["analyze", str(tmp_path / "none")]) == MISUSE
