"""Text that models go on with, and the search of translations."""

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gradproof.cli import run
from gradproof.models.configuration import LanguageModelOptions, TranslationOptions
from gradproof.models.generation import Sampling, generate, probabilities
from gradproof.models.language_model import make_language_model
from gradproof.models.translation import make_translation_model, translate

MODELS: list[dict[str, Any]] = [
    {"model": "rnn"},
    {"model": "lstm"},
    {"model": "gru"},
    *({"model": "transformer", "positions": p} for p in ("learned", "sinusoidal", "rotary")),
]


def make(options: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    model = make_language_model(LanguageModelOptions(width=12, heads=3, layers=2, context=10, **options), 7)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.double().eval()


@pytest.mark.parametrize("options", MODELS)
def test_a_prompt_read_in_parts_gives_the_same_logits(options: dict[str, Any]) -> None:
    model, tokens = make(options), torch.randint(7, (2, 9))
    whole, _ = model(tokens)
    for cuts in ([9], [4, 5], [1] * 9, [3, 1, 5]):
        state, parts = None, []
        for part in tokens.split(cuts, 1):
            logits, state = model(part, state)
            parts.append(logits)
        torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("options", MODELS)
def test_the_cache_changes_nothing(options: dict[str, Any]) -> None:
    model = make(options)
    cached, plain = (list(generate(model, [1, 2], 30, seed=3, cache=cache)) for cache in (True, False))
    assert cached == plain
    assert len({*cached}) > 1


def test_a_model_reads_no_more_than_its_context() -> None:
    with pytest.raises(ValueError, match="the model sees 10 tokens, found 11"):
        make({"model": "transformer"})(torch.zeros(1, 11, dtype=torch.int64))


def test_sampling_draws_from_its_distribution() -> None:
    model = make({"model": "lstm"})
    logits = model(torch.tensor([[1]]))[0][:, -1]
    sampling = Sampling(temperature=0.7, top_k=4)
    p = probabilities(logits, sampling)[0]
    draws = torch.tensor([next(generate(model, [1], 1, sampling, seed=n)) for n in range(2000)])
    share = torch.bincount(draws, minlength=7) / len(draws)
    assert (p == 0).sum() == 3
    assert share[p == 0].sum() == 0
    assert (share - p).abs().max() < 0.05


def test_the_least_temperature_takes_the_likeliest() -> None:
    logits = torch.tensor([[0.0, 3.0, 2.0]])
    assert probabilities(logits, Sampling(temperature=0)).tolist() == [[0, 1, 0]]
    cold = probabilities(logits, Sampling(temperature=0.01))
    torch.testing.assert_close(cold, torch.tensor([[0.0, 1.0, 0.0]]))


@pytest.mark.parametrize(("top_p", "kept"), [(0.5, 1), (0.51, 2), (0.79, 2), (0.81, 3), (1.0, 4)])
def test_top_p_keeps_the_fewest_that_reach_it(top_p: float, kept: int) -> None:
    p = probabilities(torch.log(torch.tensor([[0.1, 0.5, 0.1, 0.3]])), Sampling(top_p=top_p))
    assert int((p > 0).sum()) == kept
    assert p.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
class TestSearch:
    LONGEST, BEGIN, END = 3, 2, 3

    def model(self, kind: Any) -> Any:
        torch.manual_seed(1)
        model = make_translation_model(TranslationOptions(model=kind, width=8, heads=2, layers=1), 6, 6)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=1.0)
        return model.double().eval()

    def sources(self) -> tuple[Tensor, Tensor]:
        return torch.tensor([[4, 5, 4], [5, 1, 0], [4, 0, 0], [1, 5, 0]]), torch.tensor([3, 2, 1, 2])

    def score(self, model: Any, source: Tensor, target: tuple[int, ...]) -> float:
        """The mean log-probability of a target and its end, where it has one."""
        tokens = torch.tensor([[self.BEGIN, *target]])
        logits = model(source[None], torch.tensor([len(source)]), tokens)
        following = torch.log_softmax(logits[0], -1)
        ended = len(target) < self.LONGEST
        wanted = [*target, *([self.END] if ended else [])]
        return sum(following[n, token].item() for n, token in enumerate(wanted)) / len(wanted)

    def search(self, model: Any, beam: int) -> list[list[int]]:
        return translate(
            model, *self.sources(), begin=self.BEGIN, end=self.END, longest=self.LONGEST, beam=beam
        )

    def test_a_beam_of_one_is_greedy(self, kind: str) -> None:
        model = self.model(kind)
        for found, source, length in zip(self.search(model, 1), *self.sources(), strict=True):
            expected: list[int] = []
            while len(expected) < self.LONGEST:
                tokens = torch.tensor([[self.BEGIN, *expected]])
                token = int(model(source[None, :length], length[None], tokens)[0, -1].argmax())
                if token == self.END:
                    break
                expected.append(token)
            assert found == expected

    @pytest.mark.slow
    def test_a_beam_of_everything_finds_the_best(self, kind: str) -> None:
        model = self.model(kind)
        others = [n for n in range(6) if n != self.END]
        targets = [t for n in range(self.LONGEST + 1) for t in itertools.product(others, repeat=n)]
        for found, source, length in zip(self.search(model, 216), *self.sources(), strict=True):
            best = max(targets, key=lambda target: self.score(model, source[:length], target))
            assert tuple(found) == best


def test_generate_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--width=8", "--layers=1", "--heads=2", "--context=12", "--batch=4", "--steps=3"]
    (tmp_path / "text.txt").write_text("some words on a line\n" * 60, encoding="utf-8")
    (tmp_path / "rows.csv").write_text("text,label\n" + "good,yes\nbad,no\n" * 20, encoding="utf-8")
    (tmp_path / "pairs.tsv").write_text("one\teins\ntwo\tzwei\n" * 20, encoding="utf-8")
    for command in (
        ["char-lm", str(tmp_path / "text.txt"), "--model=transformer"],
        ["char-lm", str(tmp_path / "text.txt"), "--tokens=word"],
        ["classify", str(tmp_path / "rows.csv")],
        ["translate", str(tmp_path / "pairs.tsv"), "--source=1", "--target=2", "--tokens=char"],
    ):
        folder = str(tmp_path / f"run-{'-'.join(command[:1] + command[2:])}")
        assert run(["train", *command, *small, f"--out={folder}"]) == 0
        capsys.readouterr()
        assert (
            run(
                [
                    "generate",
                    folder,
                    "--prompt=one" if "trans" in command[0] else "--prompt=words on",
                    "--length=9",
                ]
            )
            == 0
        )
        said = capsys.readouterr().out
        if command[0] == "char-lm":
            assert said.startswith("words on")
        if command[0] == "char-lm" and "--tokens=word" not in command:
            assert len(said) == len("words on") + 9 + 1
        if command[0] == "classify":
            assert {line.split()[0] for line in said.splitlines()} == {"yes", "no"}


@pytest.mark.parametrize("text", ["one line without an end ", "none,of,these,spaces,"])
def test_a_text_without_a_prompt_needs_no_end_of_a_line(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.txt").write_text(text * 60, encoding="utf-8")
    small = ["--width=8", "--layers=1", "--context=12", "--batch=4", "--steps=1", f"--out={tmp_path / 'run'}"]
    assert run(["train", "char-lm", str(tmp_path / "text.txt"), *small]) == 0
    capsys.readouterr()
    assert run(["generate", str(tmp_path / "run"), "--length=9"]) == 0
    assert len(capsys.readouterr().out) == 9 + 1


def test_a_reader_may_leave(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("some words on a line\n" * 60, encoding="utf-8")
    small = ["--width=8", "--layers=1", "--context=12", "--batch=4", "--steps=1", f"--out={tmp_path / 'run'}"]
    assert run(["train", "char-lm", str(tmp_path / "text.txt"), *small]) == 0
    command = [sys.executable, "-m", "gradproof", "generate", str(tmp_path / "run"), "--length=20000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(20)
    process.stdout.close()
    assert (process.wait(timeout=60), process.stderr.read()) == (0, b"")
    process.stderr.close()
