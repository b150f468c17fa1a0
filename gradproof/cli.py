"""The command line, `gradproof COMMAND`. Each command imports what it needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer
from typer.exceptions import Abort, Exit, TyperException

from gradproof.train_command import make_command

if TYPE_CHECKING:
    from gradproof.documents import Block
    from gradproof.symbolic.claims_file import Line
    from gradproof.symbolic.operation import Operation
    from gradproof.symbolic.verdict import Verdict
    from gradproof.workers import Answer

Item = TypeVar("Item")
PROVED, REFUTED, UNDECIDED, MISUSE, INTERNAL = range(5)
"""What the exit status says; INTERFACES: 3 is misuse or unreadable input, 4 an internal error."""

_EXTRAS = {"torch": ("PyTorch", "torch"), "safetensors": ("safetensors", "train")}
"""Packages that a command may need, what they are called, and the extra that brings them."""

_STATUS = {"proved": PROVED, "refuted": REFUTED, "undecided": UNDECIDED}

app = typer.Typer(
    name="gradproof",
    help="Gradients of neural-network operations: derived in closed form, proved, and turned into fast code.",
    epilog="Exit status: 0 all proved, 1 some refuted, 2 none refuted and some undecided, 3 misuse or "
    "unreadable input, 4 internal error (GRADPROOF_TRACEBACK=1 shows the traceback).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class MisuseError(Exception):
    """What the user asked for cannot be done; the message says why."""


class Target(StrEnum):
    """What a kernel is printed for."""

    numpy = "numpy"
    torch = "torch"
    c = "c"


class Format(StrEnum):
    """What a report is written as."""

    html = "html"
    markdown = "markdown"
    latex = "latex"
    json = "json"


Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, to standard output.")]
Name = Annotated[str, typer.Argument(metavar="OPERATION", help="Its name, as `gradproof list` shows it.")]


def _version(asked: bool) -> None:
    if asked:
        from gradproof import __version__

        typer.echo(f"gradproof {__version__}")
        raise Exit


@app.callback()
def gradproof(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Gradients of neural-network operations: derived, proved, and turned into code."""


@app.command("list")
def list_operations(json: Json = False) -> None:
    """List the operations: their topics, inputs and outputs."""
    from gradproof.symbolic.operation import operations
    from gradproof.symbolic.serial import operation_to_data

    made = [operation_to_data(o) for o in operations().values()]
    if json:
        _print_json(made)
        return
    from rich.table import Table

    table = Table("operation", "topic", "inputs", "outputs", box=None, pad_edge=False, header_style="bold")
    for record in sorted(made, key=lambda r: r["topic"]):
        inputs, outputs = (
            ", ".join(f"{t['name']}[{','.join(t['axes'])}]" for t in record[key])
            for key in ("inputs", "outputs")
        )
        table.add_row(record["name"], record["topic"], inputs, outputs)
    _console().print(table)


@app.command()
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

        _print_json(derivation_to_data(made))
    elif latex:
        from gradproof.symbolic.latex import derivation_to_latex

        typer.echo(derivation_to_latex(made))
    else:
        from gradproof.symbolic.plain import derivation_to_text, operation_to_text

        typer.echo(f"{operation_to_text(found)}\n\n{derivation_to_text(made, steps=steps)}")


@app.command()
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
        _print_json({"operation": found.label, "target": target.value, "source": source})
    elif sys.stdout.isatty():
        from rich.syntax import Syntax

        _console().print(Syntax(source, "python", theme="ansi_dark", background_color="default"))
    else:
        typer.echo(source, nl=not source.endswith("\n"))


@app.command(context_settings={"ignore_unknown_options": True})  # a side may start with a minus sign
def prove(
    left: Annotated[str, typer.Argument(metavar="LEFT", help="For instance `d/dx tanh(x)`.")],
    right: Annotated[str, typer.Argument(metavar="RIGHT", help="For instance `1 - tanh(x)**2`.")],
    domain: Annotated[
        str | None, typer.Option(help="Where the variables lie: `x: real; y: (0, inf)`. Default: all real.")
    ] = None,
    latex: Annotated[bool, typer.Option("--latex", help="Both sides are LaTeX.")] = False,
    json: Json = False,
) -> int:
    """Prove or refute that two formulas are equal.

    A leading `d/dx` (`d2/dx2`, `d/dx d/dy`) applies to everything that follows on its side.
    """
    from gradproof.symbolic.proof import prove_text

    try:
        verdict = prove_text(left, right, domain=domain, latex=latex)
    except ValueError as problem:
        raise MisuseError(str(problem)) from None
    if json:
        _print_json(verdict.to_dict())
    else:
        _print_verdict(verdict)
    if (verdict.reason or "").startswith("parse:"):
        return MISUSE
    return _STATUS[verdict.verdict]


@app.command()
def claims(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Claims, one JSON object a line, or documents that hold claims."
        ),
    ],
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for each claim.")] = 30,
    fix: Annotated[
        bool, typer.Option("--fix", help="State the true derivative for what is refuted.")
    ] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes side by side. Default: cores.")] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Write the verdicts into the documents that hold the claims.")
    ] = False,
    json: Json = False,
) -> int:
    """Judge claims: functions, and what is said to be their derivative.

    Markdown, reStructuredText, LaTeX and Jupyter notebooks are read for blocks that are marked as claims; a
    verdict that a block states is the one that is expected there.
    """
    from gradproof.documents import is_document, read_document
    from gradproof.symbolic.claims_file import read_claims
    from gradproof.workers import Task, judge_lines

    blocks: dict[int, Block] = {}
    lines: list[Line] = []
    for path in files:
        if is_document(path):
            for block in _read(path, read_document):
                blocks[len(lines)] = block
                lines.append(block.line)
        else:
            lines += _read(path, read_claims)
    answers: dict[int, Answer] = {}
    printed = 0
    with _progress(len(lines)) as advance:
        for number, answer in judge_lines(lines, Task(timeout, fix), jobs):
            if number in blocks:
                answer = replace(answer, verdict=blocks[number].judged(answer.verdict))
            answers[number] = answer
            advance(answer.line.id[:28], len(answers))
            while json and printed in answers:
                _print_line(answers[printed])
                printed += 1
    made = [answers[n] for n in range(len(lines))]
    if not json:
        from gradproof.table import print_answers

        print_answers(made, _console())
    if update:
        _update([path for path in files if is_document(path)], blocks, made)
    verdicts = {
        blocks[n].outcome(a.verdict, update) if n in blocks else a.verdict.verdict for n, a in enumerate(made)
    }
    if "refuted" in verdicts:
        return REFUTED
    if any((a.verdict.reason or "").startswith("parse:") for a in made):
        return MISUSE
    return UNDECIDED if "undecided" in verdicts else PROVED


@app.command()
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
        print_result(result, _console())
    return _STATUS[result.verdict]


@app.command()
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
    with _progress(len(wanted)) as advance:
        built = build_report(wanted, out, form.value, advance, helpers=available())
    for failure in built.failures:
        typer.echo(f"gradproof report: {failure}", err=True)
    if json:
        _print_json(built.data)
    else:
        typer.echo(built.summary, err=True)
    if show_page:
        typer.launch(str(built.first_page.resolve()))
    if built.failures:
        return INTERNAL
    return _STATUS[built.verdict]


train = typer.Typer(
    name="train",
    help="Train a model whose gradients are derived kernels, and go on with a run that was stopped.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(train)


def _train(task: str, given: Mapping[str, Any]) -> int:
    from gradproof.train_command import CommandError
    from gradproof.train_command import train as train_task

    try:
        return train_task(task, given, _console(stderr=True))
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
        return resume(folder, device, _console(stderr=True))
    except CommandError as problem:
        raise MisuseError(str(problem)) from None


@app.command()
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
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
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
            _print_json({"checkpoint": str(checkpoint), "seed": seed, "text": "".join(pieces)})
            return
        for piece in pieces:
            typer.echo(piece, nl=False)
            sys.stdout.flush()
        typer.echo()
    except CommandError as problem:
        raise MisuseError(str(problem)) from None
    except BrokenPipeError:  # typer would end with status 1
        _forget_output()


@app.command()
def analyze(
    checkpoints: Annotated[
        list[Path], typer.Argument(metavar="CHECKPOINT...", help="Folders of runs, or checkpoints in them.")
    ],
    prompt: Annotated[str | None, typer.Option(help="The text whose tokens are looked at.")] = None,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("build/analysis"),
    eigenvalues: Annotated[int, typer.Option(min=0, help="Of the Hessian, the largest so many.")] = 5,
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
        _print_json({"models": made})
    else:
        typer.echo(f"written: {page}", err=True)


# --- what the commands share


def _find(name: str) -> Operation:
    from gradproof.symbolic.operation import find

    try:
        return find(name)
    except (KeyError, ValueError) as problem:
        raise MisuseError(str(problem.args[0])) from None


def _read(path: Path, read: Callable[[Path], list[Item]]) -> list[Item]:
    try:
        return read(path)
    except OSError as problem:
        raise MisuseError(f"{path}: {problem.strerror or problem}") from None
    except UnicodeDecodeError:
        raise MisuseError(f"{path}: this is no UTF-8 text") from None


def _update(paths: Sequence[Path], blocks: Mapping[int, Block], answers: Sequence[Answer]) -> None:
    """Write the verdicts found into the documents."""
    from gradproof.documents import updated

    for path in paths:
        here = [
            (block, answers[n].verdict)
            for n, block in blocks.items()
            if block.line.source.partition(" cell ")[0] == str(path)
        ]
        before = path.read_text(encoding="utf-8")
        after = updated(before, path, here)
        if after != before:
            path.write_text(after, encoding="utf-8")


def _print_line(answer: Answer) -> None:
    import json

    typer.echo(json.dumps(answer.to_dict(), ensure_ascii=False))


def _console(stderr: bool = False) -> Any:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def _print_json(data: Any) -> None:
    import json

    typer.echo(json.dumps(data, ensure_ascii=False, indent=2))


def _print_verdict(verdict: Verdict) -> None:
    from gradproof.symbolic.plain import verdict_lines

    colours = {"proved": typer.colors.GREEN, "refuted": typer.colors.RED}
    first, *rest = verdict_lines(verdict)
    typer.secho(first, fg=colours.get(first, typer.colors.YELLOW), bold=True)
    for line in rest:
        typer.echo(f"  {line}")


class _progress:  # noqa: N801 (used as a function)
    """A progress bar on standard error; within it, a function that says what is being done."""

    def __init__(self, total: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description:28}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        console = _console(stderr=True)
        self.bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.total = total

    def __enter__(self) -> Callable[[str, int], None]:
        self.bar.__enter__()
        task = self.bar.add_task("", total=self.total)

        def advance(what: str, done: int) -> None:
            self.bar.update(task, description=what, completed=done)

        return advance

    def __exit__(self, *problem: Any) -> None:
        self.bar.__exit__(*problem)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; the exit status."""
    try:
        status = app(None if arguments is None else list(arguments), standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else PROVED
    except MisuseError as problem:
        typer.echo(f"gradproof: {problem}", err=True)
        return MISUSE
    except TyperException as problem:
        return _usage(problem)
    except Exit as stop:
        return stop.exit_code
    except (Abort, KeyboardInterrupt):
        typer.echo("gradproof: interrupted", err=True)
        return 130
    except BrokenPipeError:  # the reader has left, as in `gradproof list | head`
        _forget_output()
        return PROVED
    except Exception as problem:
        return _internal(problem)


def _forget_output() -> None:
    """Nobody reads standard output any more: what is still to come goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _usage(problem: TyperException) -> int:
    context = getattr(problem, "ctx", None)
    path = context.command_path if context is not None else "gradproof"
    typer.echo(problem.format_message() if str(problem) else f"{path}: misuse", err=True)
    if context is not None and type(problem).__name__ != "NoArgsIsHelpError":
        typer.echo(f"Try `{path} --help`.", err=True)
    return MISUSE


def _internal(problem: Exception) -> int:
    if isinstance(problem, ModuleNotFoundError) and problem.name in _EXTRAS:
        name, extra = _EXTRAS[problem.name]
        typer.echo(f"gradproof: this needs {name}: pip install 'gradproof[{extra}]'", err=True)
        return MISUSE
    if os.environ.get("GRADPROOF_TRACEBACK"):
        import traceback

        traceback.print_exception(problem)
    text = " ".join(f"{type(problem).__name__}: {problem}".split())
    typer.echo(
        f"gradproof: internal error: {text} (GRADPROOF_TRACEBACK=1 shows the traceback; please report it)",
        err=True,
    )
    return INTERNAL


def main() -> NoReturn:
    """The command `gradproof`."""
    sys.exit(run())


if __name__ == "__main__":
    main()
