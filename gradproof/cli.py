"""The command line, `gradproof COMMAND`, and its exit status."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.exceptions import Abort, Exit, TyperException

from gradproof.commands import claims, models, operations, programs
from gradproof.commands.statuses import INTERNAL, MISUSE, PROVED, MisuseError
from gradproof.commands.terminal import forget_output

_EXTRAS = {"torch": ("PyTorch", "torch"), "safetensors": ("safetensors", "train")}
"""Packages that a command may need, what they are called, and the extra that brings them."""

_EXPECTED = {
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "bool_parsing": "true or false",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
}
"""What an option takes, by the kind of mistake that was found in its value."""

_interrupts: list[int] = []
"""Ctrl-C, each time: an import of PyTorch that it breaks off fails with an error of another kind."""


class Commands(TyperGroup):
    """The commands; Ctrl-C within one is left to `run`, where typer would end without a word."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Abort from None


app = typer.Typer(
    name="gradproof",
    cls=Commands,
    help="Gradients of neural-network operations: derived in closed form, proved, and turned into fast code.",
    epilog="Exit status: 0 all proved, 1 some refuted, 2 none refuted and some undecided, 3 misuse or "
    "unreadable input, 4 internal error (GRADPROOF_TRACEBACK=1 shows the traceback).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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


app.command("list")(operations.list_operations)
app.command()(operations.derive)
app.command()(operations.show)
app.command(context_settings={"ignore_unknown_options": True})(claims.prove)  # a side may start with a minus
app.command()(claims.claims)
app.command()(programs.check)
app.command()(operations.report)
app.add_typer(models.train)
app.command()(models.generate)
app.command()(models.analyze)


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
        return _interrupted()
    except BrokenPipeError:  # the reader has left, as in `gradproof list | head`
        forget_output()
        return PROVED
    except Exception as problem:  # a defect of ours: one sentence and a status of its own
        return _interrupted() if _interrupts else _internal(problem)


def _interrupted() -> int:
    typer.echo("gradproof: interrupted", err=True)
    return 130


def _note_interrupt(number: int, frame: FrameType | None) -> None:
    _interrupts.append(number)
    signal.default_int_handler(number, frame)


def _usage(problem: TyperException) -> int:
    context = getattr(problem, "ctx", None)
    path = context.command_path if context is not None else "gradproof"
    _reword(problem)
    typer.echo(problem.format_message() if str(problem) else f"{path}: misuse", err=True)
    if context is not None and type(problem).__name__ != "NoArgsIsHelpError":
        typer.echo(f"Try `{path} --help`.", err=True)
    return MISUSE


def _reword(problem: TyperException) -> None:
    """Let the message about an option's value say what was found and what was expected."""
    mistakes: list[Any] = getattr(problem.__cause__, "errors", list)()
    if not mistakes:
        return
    mistake = mistakes[0]
    if mistake["type"] in _EXPECTED:
        expected = _EXPECTED[mistake["type"]].format(**mistake.get("ctx", {}))
        problem.message = f"found {mistake['input']}, expected {expected}"
    else:
        problem.message = mistake["msg"].removeprefix("Value error, ")


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
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _note_interrupt)
    sys.exit(run())


if __name__ == "__main__":
    main()
