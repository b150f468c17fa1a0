"""`gradproof train`, `generate`, `analyze`: models whose gradients are derived kernels."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from gradproof.commands.statuses import MisuseError
from gradproof.commands.terminal import Json, forget_output, make_console, print_json
from gradproof.train_command import make_command

train = typer.Typer(
    name="train",
    help="Train a model whose gradients are derived kernels, and go on with a run that was stopped.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _train(task: str, given: Mapping[str, Any]) -> int:
    from gradproof.train_command import CommandError
    from gradproof.train_command import train as train_task

    try:
        return train_task(task, given, make_console(stderr=True))
    except CommandError as problem:
        raise MisuseError(str(problem)) from None


for _task in ("char-lm", "classify", "translate"):
    train.command(_task)(make_command(_task, _train))


@train.command("resume")
def resume_training(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of the run.")],
    device: Annotated[str | None, typer.Option(help="Another device than the run began on.")] = None,
) -> int:
    """Go on with a run that was stopped or killed, to the losses that it would have had."""
    from gradproof.train_command import CommandError, resume

    try:
        return resume(folder, device, make_console(stderr=True))
    except CommandError as problem:
        raise MisuseError(str(problem)) from None


def generate(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="The folder of a run, or a checkpoint in it.")
    ],
    prompt: Annotated[
        str | None, typer.Option(help="The text to go on from, to label or to translate.")
    ] = None,
    length: Annotated[int, typer.Option(min=0, help="Characters or words to add.")] = 500,
    temperature: Annotated[
        float, typer.Option(help="Below 1 safer, above 1 bolder; 0: the likeliest.")
    ] = 0.8,
    top_k: Annotated[int, typer.Option(help="Draw from the likeliest so many; 0: from all.")] = 0,
    top_p: Annotated[float, typer.Option(help="Draw from the likeliest that have this probability.")] = 1.0,
    beam: Annotated[int, typer.Option(min=1, help="Beam of a translation's search.")] = 1,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of the draws.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1.")] = "auto",
    cache: Annotated[bool, typer.Option(help="Keep keys and values of a Transformer.")] = True,
    json: Json = False,
) -> None:
    """Go on with a text, label it or translate it, by a trained model; what is made is printed at once."""
    from gradproof.generate_command import CommandError, Wishes, generate_text

    wishes = Wishes(length, temperature, top_k, top_p, beam, seed, cache)
    pieces = generate_text(checkpoint, prompt, wishes, device)
    try:
        if json:
            print_json({"checkpoint": str(checkpoint), "seed": seed, "text": "".join(pieces)})
            return
        for piece in pieces:
            typer.echo(piece, nl=False)
            sys.stdout.flush()
        typer.echo()
    except CommandError as problem:
        raise MisuseError(str(problem)) from None
    except BrokenPipeError:  # typer would end with status 1
        forget_output()


def analyze(
    checkpoints: Annotated[
        list[Path], typer.Argument(metavar="CHECKPOINT...", help="Folders of runs, or checkpoints in them.")
    ],
    prompt: Annotated[str | None, typer.Option(help="The text whose tokens are looked at.")] = None,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("build/analysis"),
    eigenvalues: Annotated[int, typer.Option(min=0, max=20, help="Of the Hessian, the largest so many.")] = 5,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1.")] = "auto",
    json: Json = False,
) -> None:
    """Show what gradients tell of trained models: their flow through time, saliency, curvature."""
    from gradproof.analyze_command import CommandError, analyze_checkpoints
    from gradproof.report.analysis import write_analysis

    try:
        made = analyze_checkpoints(checkpoints, prompt, eigenvalues, device)
        page = write_analysis(made, out)
    except CommandError as problem:
        raise MisuseError(str(problem)) from None
    except OSError as problem:
        raise MisuseError(f"--out {out}: nothing can be written there ({problem.strerror})") from None
    if json:
        print_json({"models": made})
    else:
        typer.echo(f"written: {page}", err=True)
