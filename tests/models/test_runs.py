"""Runs: what they leave, how they go on after a kill, and what they say of what is wrong."""

import errno
import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gradproof.cli import MISUSE, main, run
from gradproof.models.checkpoints import LAST, Checkpoint, read_checkpoint, write_checkpoint
from gradproof.models.configuration import make_configuration
from gradproof.models.logs import StepRecord, read_table
from gradproof.models.runs import load_trained, new_run, resumed_run
from gradproof.models.training import DivergedError, Standing, Trainer

MODELS = ("rnn", "lstm", "gru", "transformer")
TEXT = "the cat sat on the mat, and the rat sat on the cat. " * 40
SMALL = {"width": 8, "layers": 2, "heads": 2, "context": 8, "batch": 4, "dropout": 0.1}
FLAGS = [
    *(f"--{name}={value}" for name, value in SMALL.items()),
    "--steps=12",
    "--evaluate-every=4",
    "--warmup=3",
    "--threads=1",
]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def make(text: Path, folder: Path, **options: Any) -> Trainer:
    given = {"data": str(text), **SMALL, "steps": 12, "evaluate_every": 4, "warmup": 3, **options}
    return new_run(make_configuration("char-lm", {}, given), folder)


def losses(folder: Path) -> list[tuple[str, str, str]]:
    return [(r["step"], r["loss"], r["gradient_norm"]) for r in read_table(folder / "training.csv")]


def validation(folder: Path) -> list[tuple[str, str]]:
    return [(r["step"], r["loss"]) for r in read_table(folder / "validation.csv")]


class StopAfter:
    """Asks a trainer to stop, as Ctrl-C does."""

    def __init__(self, trainer: Trainer, step: int) -> None:
        self.trainer, self.step = trainer, step

    def stepped(self, record: StepRecord) -> None:
        if record.step + 1 == self.step:
            signal.raise_signal(signal.SIGINT)

    def evaluated(self, step: int, metrics: Mapping[str, float]) -> None:
        pass


@pytest.mark.parametrize("model", MODELS)
def test_a_run_learns_and_leaves_what_it_is_to_leave(model: str, text: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    outcome = make(text, folder, model=model, steps=60, lr=0.02, evaluate_every=30, width=16).run()
    before, after = (float(loss) for _, loss in validation(folder)[::2])
    assert after < 0.8 * before
    assert outcome.results["validation"]["loss"] == min(float(loss) for _, loss in validation(folder))
    kept = {"run.json", "configuration.toml", "last.safetensors", "best.safetensors", "results.json"}
    assert {p.name for p in folder.iterdir()} == kept | {"training.csv", "validation.csv", "curves.svg"}
    assert "validation" in (folder / "curves.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("model", ["lstm", "transformer"])
@pytest.mark.parametrize("options", [{}, {"accumulate": 2}, {"dtype": "bfloat16"}, {"optimizer": "momentum"}])
def test_an_interrupted_run_goes_on_to_the_same_losses(
    model: str, options: dict[str, Any], text: Path, tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    make(text, whole, model=model, **options).run()
    trainer = make(text, parts, model=model, **options)
    assert trainer.run(StopAfter(trainer, 6)).how == "interrupted"
    assert resumed_run(parts).run().how == "finished"
    assert losses(parts) == losses(whole)
    assert validation(parts) == validation(whole)
    held, expected = read_checkpoint(parts / LAST).tensors, read_checkpoint(whole / LAST).tensors
    assert held.keys() == expected.keys()
    assert all(torch.equal(held[name], expected[name]) for name in held)


def test_a_run_that_is_killed_goes_on_to_the_same_losses(text: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = ["train", "char-lm", str(text), *FLAGS, "--steps=400", "--evaluate-every=20", "--model=lstm"]
    assert run([*command, f"--out={whole}"]) == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "gradproof", *command, f"--out={killed}"], stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if (killed / LAST).exists() and read_checkpoint(killed / LAST).facts["step"] >= 40:
                break
            time.sleep(0.01)
        assert process.poll() is None, "the run ended before it could be killed"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (killed / "results.json").exists()
    assert run(["train", "resume", str(killed)]) == 0
    assert losses(killed) == losses(whole)
    assert validation(killed) == validation(whole)


@pytest.mark.parametrize("left", [["run.json", "configuration.toml"], ["run.json", "training.csv", "half"]])
def test_a_run_killed_before_its_first_checkpoint_starts_again(
    left: list[str], text: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    make(text, whole).run()
    make(text, killed).run()
    for path in killed.iterdir():
        if path.name not in left:
            path.unlink()
    (killed / "training.csv").write_text("step,loss\n0,1.5\n1,1.", encoding="utf-8")
    resumed_run(killed).run()
    assert losses(killed) == losses(whole)


def test_a_signal_within_an_update_is_not_lost(text: Path, tmp_path: Path) -> None:
    """It comes after the processes have agreed on whether to stop: the next step stops."""
    trainer = make(text, tmp_path / "run")
    update = trainer.optimizer.step

    def interrupted(*given: Any) -> Any:
        if trainer.standing.step == 5:
            signal.raise_signal(signal.SIGINT)
        return update(*given)

    trainer.optimizer.step = interrupted  # pyright: ignore[reportAttributeAccessIssue]
    outcome = trainer.run()
    assert (outcome.how, outcome.standing.step) == ("interrupted", 7)


def test_ctrl_c_on_the_command_line_says_how_to_go_on(text: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "gradproof", "train", "char-lm", str(text), *FLAGS, "--steps=100000"]
    process = subprocess.Popen([*command, f"--out={folder}"], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (folder / LAST).exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.endswith(f"everything saved. Go on with: gradproof train resume {folder}\n")


def test_ctrl_c_while_a_text_is_made_says_so(text: Path, tmp_path: Path) -> None:
    make(text, tmp_path / "run", steps=1).run()
    # What is started in the background ignores Ctrl-C, and what that starts: here it is listened to.
    listening = "import signal as s; s.signal(s.SIGINT, s.default_int_handler); "
    listening += "from gradproof.cli import main; main()"
    command = [sys.executable, "-c", listening, "generate", str(tmp_path / "run"), "--length=10000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(5)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said.decode()) == (130, "gradproof: interrupted\n")


def test_ctrl_c_while_pytorch_is_imported_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken_off(*given: Any) -> Any:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise ImportError("cannot load module more than once per process")

    monkeypatch.setattr("gradproof.generate_command.generate_text", broken_off)
    monkeypatch.setattr("sys.argv", ["gradproof", "generate", "run"])
    monkeypatch.setattr("gradproof.cli._interrupts", [])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(SystemExit, match="130"):
            main()
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "gradproof: interrupted\n"


def test_accumulation_gives_the_losses_of_the_whole_batch(text: Path, tmp_path: Path) -> None:
    options = {"model": "lstm", "dropout": 0.0, "dtype": "float64"}
    make(text, tmp_path / "whole", **options).run()
    make(text, tmp_path / "parts", accumulate=4, **options).run()
    whole, parts = ([float(loss) for _, loss, _ in losses(tmp_path / name)] for name in ("whole", "parts"))
    assert parts == pytest.approx(whole, rel=1e-9)


def test_only_a_lower_loss_is_better() -> None:
    first = Standing(step=3).judged(2.0)
    assert (first.best, first.best_step, first.stale) == (2.0, 3, 0)
    second = replace(first, step=4).judged(2.0)
    assert (second.best, second.best_step, second.stale) == (2.0, 3, 1)


def test_weights_that_an_update_spoils_are_no_checkpoint(text: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    trainer = make(text, folder, model="gru", evaluate_every=2)

    class Spoil(StopAfter):
        def stepped(self, record: StepRecord) -> None:
            if record.step == 3:
                with torch.no_grad():
                    trainer.task.model.get_parameter("output.bias")[0] = torch.nan

    with pytest.raises(DivergedError) as error:
        trainer.run(Spoil(trainer, 0))
    assert str(error.value) == (
        "after step 4: the validation loss is nan. First at fault: the parameter output.bias holds 1 NaN of "
        f"15 values. The last good checkpoint is {folder / LAST}; try a smaller --lr, a longer --warmup, or "
        "--clip in a new run"
    )
    assert read_checkpoint(folder / LAST).facts["step"] == 2
    assert validation(folder)[-1][0] == "2"


def test_a_run_stops_early(text: Path, tmp_path: Path) -> None:
    trainer = make(text, tmp_path / "run", steps=100, evaluate_every=1, patience=2, lr=0.0, min_lr=0.0)
    outcome = trainer.run()
    assert (outcome.how, outcome.standing.step, outcome.standing.best_step) == ("stopped early", 2, 0)


def test_a_loss_that_is_nan_names_step_batch_and_layer(text: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    trainer = make(text, folder, model="transformer", evaluate_every=2)

    class Spoil(StopAfter):
        def stepped(self, record: StepRecord) -> None:
            if record.step == 4:

                def spoil(module: nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
                    return output * torch.inf * 0

                trainer.task.model.get_submodule("blocks.1.linear1").register_forward_hook(
                    spoil, prepend=True
                )

    with pytest.raises(DivergedError) as error:
        trainer.run(Spoil(trainer, 0))
    said = str(error.value)
    assert said.startswith(
        "step 5: the loss is nan. First at fault: the output of blocks.1.linear1 (Linear) holds"
    )
    assert "4 windows of 8 tokens, from the tokens" in said
    assert f"The last good checkpoint is {folder / LAST}" in said
    assert read_checkpoint(folder / LAST).facts["step"] == 4


def test_a_gradient_that_is_infinite_is_traced_backwards(text: Path, tmp_path: Path) -> None:
    trainer = make(text, tmp_path / "run", model="transformer")
    with torch.no_grad():
        trainer.task.model.get_parameter("blocks.0.norm2.weight").fill_(torch.inf)
    with pytest.raises(DivergedError, match=r"the parameter blocks\.0\.norm2\.weight holds 8 infinite of 8"):
        trainer.step()


def test_the_configuration_beside_a_checkpoint_makes_the_same_run(text: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(["train", "char-lm", str(text), *FLAGS, f"--out={first}"]) == 0
    assert run(["train", "char-lm", f"--config={first / 'configuration.toml'}", f"--out={second}"]) == 0
    assert losses(first) == losses(second)


def test_a_full_disk_keeps_the_last_checkpoint(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:

        def fail(source: Path, target: Path) -> None:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))

        def fill(path: Path, checkpoint: Checkpoint) -> None:
            if checkpoint.facts["step"] == 8:
                patch.setattr("os.replace", fail)
            write_checkpoint(path, checkpoint)

        patch.setattr("gradproof.models.training.write_checkpoint", fill)
        assert run(["train", "char-lm", str(text), *FLAGS, f"--out={folder}"]) == MISUSE
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith(
            "cannot be written (No space left on device); when it can, go on with: gradproof train resume "
            f"{folder}"
        )
    )
    assert read_checkpoint(folder / LAST).facts["step"] == 4
    assert run(["train", "resume", str(folder)]) == 0
    assert [step for step, *_ in losses(folder)] == [*map(str, range(12))]


def test_a_run_goes_on_from_any_folder(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, folder, elsewhere = tmp_path / "whole", tmp_path / "run", tmp_path / "elsewhere"
    monkeypatch.chdir(text.parent)
    make(Path(text.name), whole).run()
    trainer = make(Path(text.name), folder)
    trainer.run(StopAfter(trainer, 5))
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert run(["train", "resume", str(folder)]) == 0
    assert losses(folder) == losses(whole)


def test_a_checkpoint_holds_no_pickle(text: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    make(text, folder, steps=1).run()
    assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["format"] == 1
    for path in folder.iterdir():
        assert b"\x80\x02" not in path.read_bytes()[:16], path
    for name in ("checkpoints", "runs", "training"):
        source = Path(sys.modules[f"gradproof.models.{name}"].__file__ or "").read_text(encoding="utf-8")
        assert "torch.load" not in source
        assert "import pickle" not in source


def test_two_processes_give_the_losses_of_one(text: Path, tmp_path: Path) -> None:
    flags = [*FLAGS, "--dropout=0", "--dtype=float64", "--model=lstm", "--threads=1", "--steps=4"]
    one, two = tmp_path / "one", tmp_path / "two"
    assert run(["train", "char-lm", str(text), *flags, f"--out={one}"]) == 0
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "gradproof"]
    command = [sys.executable, *torchrun, "train", "char-lm", str(text), *flags, f"--out={two}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    expected = [float(loss) for _, loss, _ in losses(one)]
    assert [float(loss) for _, loss, _ in losses(two)] == pytest.approx(expected, rel=1e-9)
    load_trained(two)
