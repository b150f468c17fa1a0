"""`gradproof check`: backwards that a user wrote."""

from __future__ import annotations

from typing import Annotated

import typer

from gradproof.commands.statuses import STATUS, MisuseError
from gradproof.commands.terminal import Json, make_console


def check(
    program: Annotated[
        str, typer.Argument(metavar="FILE.py:NAME", help="A function, autograd.Function, module or pair.")
    ],
    inputs: Annotated[
        str | None,
        typer.Option(metavar="FILE.py:NAME", help="Example inputs: a tuple, or a function that returns one."),
    ] = None,
    order: Annotated[int, typer.Option(min=1, max=2, help="2 checks the double backward as well.")] = 1,
    spec: Annotated[
        str | None, typer.Option(help="The axes of the inputs: `x: batch d, w: d h, y: int batch < h`.")
    ] = None,
    wrt: Annotated[list[str] | None, typer.Option(help="Check the gradient by this input only.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of all draws, to repeat a check.")] = None,
    accuracy: Annotated[
        bool, typer.Option("--accuracy", help="Measure the errors of floats too; they change no verdict.")
    ] = False,
    reference: Annotated[
        str | None,
        typer.Option(metavar="FILE.py:NAME", help="A plain forward, where the program's own is opaque."),
    ] = None,
    declared: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:NAME", help="What the backward is meant to be: f(cotangent, *inputs), a tuple."
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Check a backward that you wrote, exactly. This imports FILE.py: it runs the code in it.

    NAME is an autograd.Function class, a function of tensors, a module (or a class of modules that needs no
    arguments), or a pair of NumPy functions (forward, vjp), also as FILE.py:FORWARD,VJP.
    """
    from gradproof.check_command import CommandError, check_file, print_json, print_result

    try:
        result = check_file(
            program, inputs, order=order, spec=spec, wrt=wrt, seed=seed, accuracy=accuracy,
            reference=reference, declared=declared,
        )  # fmt: skip
    except CommandError as problem:
        raise MisuseError(str(problem)) from None
    if json:
        print_json(result)
    else:
        print_result(result, make_console())
    return STATUS[result.verdict]
