"""`gradproof list`, `derive`, `show`, `report`: the operations of the catalogue."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradproof.commands.statuses import INTERNAL, STATUS, MisuseError
from gradproof.commands.terminal import Json, Progress, make_console, print_json

if TYPE_CHECKING:
    from gradproof.symbolic.operation import Operation

Name = Annotated[str, typer.Argument(metavar="OPERATION", help="Its name, as `gradproof list` shows it.")]


class Target(StrEnum):
    """What a kernel is printed for."""

    numpy = "numpy"
    torch = "torch"
    c = "c"
    triton = "triton"


class Format(StrEnum):
    """What a report is written as."""

    html = "html"
    markdown = "markdown"
    latex = "latex"
    json = "json"


def list_operations(json: Json = False) -> None:
    """List the operations: their topics, inputs and outputs."""
    from gradproof.symbolic.operation import operations
    from gradproof.symbolic.serial import operation_to_data

    made = [operation_to_data(o) for o in operations().values()]
    if json:
        print_json(made)
        return
    from rich.table import Table

    table = Table("operation", "topic", "inputs", "outputs", box=None, pad_edge=False, header_style="bold")
    for record in sorted(made, key=lambda r: r["topic"]):
        inputs, outputs = (
            ", ".join(f"{t['name']}[{','.join(t['axes'])}]" for t in record[key])
            for key in ("inputs", "outputs")
        )
        table.add_row(record["name"], record["topic"], inputs, outputs)
    make_console().print(table)


def derive(
    operation: Name,
    kind: Annotated[
        str, typer.Option(help="vjp, jvp, jacobian, hessian, hvp (Hessian times a vector) or taylor.")
    ] = "vjp",
    order: Annotated[int, typer.Option(min=1, help="The order of a Taylor expansion.")] = 2,
    conditions: Annotated[
        bool, typer.Option("--conditions", help="Under the conditions that the operation states.")
    ] = False,
    steps: Annotated[bool, typer.Option("--steps", help="Print every step with its rule.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print the closed form as LaTeX.")] = False,
    json: Json = False,
) -> None:
    """Derive a derivative of an operation in closed form."""
    from gradproof.symbolic.derivation import derive as derive_operation

    found = _find(operation)
    try:
        made = derive_operation(found, kind, order=order, conditions=conditions)
    except ValueError as problem:
        raise MisuseError(str(problem)) from None
    if json:
        from gradproof.symbolic.serial import derivation_to_data

        print_json(derivation_to_data(made))
    elif latex:
        from gradproof.symbolic.latex import derivation_to_latex

        typer.echo(derivation_to_latex(made))
    else:
        from gradproof.symbolic.plain import derivation_to_text, operation_to_text

        typer.echo(f"{operation_to_text(found)}\n\n{derivation_to_text(made, steps=steps)}")


def show(
    operation: Name,
    target: Annotated[Target, typer.Option(help="What the source is for.")] = Target.numpy,
    json: Json = False,
) -> None:
    """Show the source of an operation's kernel."""
    found = _find(operation)
    from gradproof.numeric.kernels import lower

    source = lower(found, target.value).source
    if json:
        print_json({"operation": found.label, "target": target.value, "source": source})
    elif sys.stdout.isatty():
        from rich.syntax import Syntax

        make_console().print(Syntax(source, "python", theme="ansi_dark", background_color="default"))
    else:
        typer.echo(source, nl=not source.endswith("\n"))


def report(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[OPERATION]...", help="All operations by default.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("build/report"),
    form: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.html,
    show_page: Annotated[bool, typer.Option("--open", help="Open the first page when it is done.")] = False,
    json: Json = False,
) -> int:
    """Write the report on operations."""
    from gradproof.report.build import build_report
    from gradproof.report.helpers import available
    from gradproof.symbolic.operation import operations

    wanted = [_find(name) for name in names] if names else list(operations().values())
    if out.exists() and not out.is_dir():
        raise MisuseError(f"--out {out}: this is a file, not a folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise MisuseError(f"--out {out}: no folder can be made there ({problem.strerror})") from None
    with Progress(len(wanted)) as advance:
        built = build_report(wanted, out, form.value, advance, helpers=available())
    for failure in built.failures:
        typer.echo(f"gradproof report: {failure}", err=True)
    if json:
        print_json(built.data)
    else:
        typer.echo(built.summary, err=True)
    if show_page:
        typer.launch(str(built.first_page.resolve()))
    if built.failures:
        return INTERNAL
    return STATUS[built.verdict]


def _find(name: str) -> Operation:
    from gradproof.symbolic.operation import find

    try:
        return find(name)
    except (KeyError, ValueError) as problem:
        raise MisuseError(str(problem.args[0])) from None
