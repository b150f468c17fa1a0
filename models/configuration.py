"""The configuration of a run: one table of options for the command line, the TOML file and the checkpoint."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from gradproof.models.mistakes import InputError


def _option(default: Any, text: str, minimum: float | None = None, below: float | None = None) -> Any:
    """A field with what the command line says of it, and where its values lie."""
    return field(default=default, metadata={"help": text, "minimum": minimum, "below": below})


@dataclass(frozen=True)
class LanguageModelOptions:
    """A language model: its kind and sizes."""

    model: Literal["rnn", "lstm", "gru", "transformer"] = _option("lstm", "The kind of model.")
    tokens: Literal["char", "word"] = _option("char", "What is predicted: characters, or words.")
    layers: int = _option(2, "Layers, or blocks.", 1)
    heads: int = _option(4, "Attention heads.", 1)
    width: int = _option(128, "Features of a token and of a layer.", 1)
    context: int = _option(64, "Tokens that a step sees (backpropagation goes that far).", 1)
    dropout: float = _option(0.0, "Share of features that is dropped.", 0, 1)
    positions: Literal["learned", "sinusoidal", "rotary"] = _option("learned", "Positions of a Transformer.")
    norm: Literal["layer", "rms"] = _option("layer", "Normalization in a Transformer.")
    tied: bool = _option(True, "One matrix for the embedding and the output.")
    vocabulary: int = _option(10_000, "Words that are kept, the frequent ones first.", 1)


@dataclass(frozen=True)
class ClassifierOptions:
    """A classifier of texts: its kind and sizes."""

    model: Literal["mlp", "lstm", "transformer"] = _option("lstm", "The kind of model.")
    tokens: Literal["char", "word"] = _option(
        "word", "What is read: characters (of the data that come with the program), or words."
    )
    layers: int = _option(1, "Layers.", 1)
    heads: int = _option(4, "Attention heads.", 1)
    width: int = _option(64, "Features of a token and of a layer.", 1)
    context: int = _option(256, "Tokens that are read of a text; the rest is cut off.", 1)
    dropout: float = _option(0.1, "Share of features that is dropped.", 0, 1)
    bidirectional: bool = _option(True, "The LSTM reads both ways.")
    vocabulary: int = _option(20_000, "Tokens that are kept, the frequent ones first.", 1)


@dataclass(frozen=True)
class TranslationOptions:
    """A model from one text to another: its kind and sizes."""

    model: Literal["lstm", "transformer"] = _option("lstm", "The kind of model.")
    tokens: Literal["char", "word"] = _option(
        "word", "What is read and written: characters (of the data that come with the program), or words."
    )
    layers: int = _option(1, "Layers of the encoder, and of the decoder.", 1)
    heads: int = _option(4, "Attention heads.", 1)
    width: int = _option(128, "Features of a token and of a layer.", 1)
    context: int = _option(64, "Tokens of a text; longer pairs are left out.", 1)
    dropout: float = _option(0.1, "Share of features that is dropped.", 0, 1)
    vocabulary: int = _option(20_000, "Tokens that are kept, the frequent ones first.", 1)
    beam: int = _option(1, "Beam of the search when the test set is translated; 1 is greedy.", 1)


@dataclass(frozen=True)
class DataOptions:
    """What is read."""

    data: str = _option("", "A file, a folder of train, valid and test files, or datasets:NAME.")
    valid: float = _option(0.1, "Share of one file that is kept for validation.", 0, 1)


@dataclass(frozen=True)
class LabelledDataOptions(DataOptions):
    """What is read: texts with a label."""

    text: str = _option("text", "The column of the text: its name, or its number from 1.")
    label: str = _option("label", "The column of the label.")


@dataclass(frozen=True)
class PairedDataOptions(DataOptions):
    """What is read: pairs of texts."""

    source: str = _option("source", "The column that is translated: its name, or its number from 1.")
    target: str = _option("target", "The column that it is translated to.")


@dataclass(frozen=True)
class TrainingOptions:
    """How it is trained."""

    steps: int = _option(1000, "Steps of the optimizer.", 0)
    batch: int = _option(32, "Rows of a step, over all processes.", 1)
    accumulate: int = _option(1, "Parts in which each process takes its rows, to save memory.", 1)
    optimizer: Literal["sgd", "momentum", "adam", "adamw"] = _option("adamw", "PyTorch's optimizer.")
    lr: float = _option(1e-3, "The learning rate at its highest.", 0)
    min_lr: float = _option(1e-4, "The learning rate at the end of the cosine.", 0)
    warmup: int = _option(100, "Steps in which the learning rate rises from 0.", 0)
    schedule: Literal["cosine", "constant"] = _option("cosine", "The learning rate after the warm-up.")
    beta1: float = _option(0.9, "Adam's first beta; the momentum.", 0, 1)
    beta2: float = _option(0.99, "Adam's second beta.", 0, 1)
    weight_decay: float = _option(0.1, "Weight decay of matrices.", 0)
    clip: float = _option(1.0, "Largest norm of the gradient; 0 for no limit.", 0)
    dtype: Literal["float32", "bfloat16", "float64"] = _option(
        "float32", "bfloat16: matrix products in it, by autocast."
    )
    device: str = _option("auto", "auto, cpu, cuda, cuda:1.")
    threads: int = _option(0, "Threads on the CPU; 0: as many as PyTorch takes.", 0, 1025)
    seed: int = _option(1, "Of every draw.", 0)
    evaluate_every: int = _option(250, "Steps between evaluations, each with a checkpoint.", 1)
    patience: int = _option(0, "Evaluations without a better loss before the end; 0: never.", 0)
    tensorboard: bool = _option(False, "Write TensorBoard's logs too.")


Options = LanguageModelOptions | ClassifierOptions | TranslationOptions
TASKS: dict[str, tuple[type[Options], type[DataOptions]]] = {
    "char-lm": (LanguageModelOptions, DataOptions),
    "classify": (ClassifierOptions, LabelledDataOptions),
    "translate": (TranslationOptions, PairedDataOptions),
}
"""The tasks, and the options of each one's model and data."""

KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text in quotes"}
"""What an option of a type takes, for people."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "char-lm": {"lr": 3e-3, "steps": 2000},
    "classify": {"lr": 3e-3, "weight_decay": 0.01},
    "translate": {"lr": 2e-3, "weight_decay": 0.01, "batch": 64},
}
"""Where a task has other defaults than TrainingOptions."""


@dataclass(frozen=True)
class Configuration:
    """All of a run: the task, its data, its model, how it is trained."""

    task: str
    data: DataOptions
    model: Options
    training: TrainingOptions

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def anchored(self) -> Configuration:
        """The same with the whole path of its data, as a run keeps it that goes on from any folder."""
        data = self.data.data
        if not data or data.startswith("datasets:"):
            return self
        return replace(self, data=replace(self.data, data=str(Path(data).absolute())))

    def to_toml(self) -> str:
        """The configuration as a file that `--config` reads."""
        lines = [f"task = {json.dumps(self.task)}"]
        for table, values in self.to_dict().items():
            if isinstance(values, dict):
                lines += ["", f"[{table}]"]
                lines += [
                    f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()
                ]
        return "\n".join(lines) + "\n"


def default_configuration(task: str) -> Configuration:
    """A task with every option at its default."""
    model, data = TASKS[task]
    return Configuration(task, data(), model(), TrainingOptions(**DEFAULTS[task]))


def make_configuration(
    task: str, tables: Mapping[str, Any], given: Mapping[str, Any], where: str = "the configuration"
) -> Configuration:
    """The defaults, over them the tables of a file, over them what was given by name, as a flag.

    Raises InputError for an unknown table or option, a value of another type, and one out of its range.

    >>> made = make_configuration("char-lm", {"model": {"width": 32}}, {"layers": 3})
    >>> made.model.width, made.model.layers, made.training.lr
    (32, 3, 0.003)
    """
    default = default_configuration(task)
    parts: dict[str, Any] = {}
    known = [f.name for name in ("data", "model", "training") for f in fields(getattr(default, name))]
    for name in given:
        if name not in known:
            raise _unknown(f"the task {task}", name, known)
    for name in ("data", "model", "training"):
        part = getattr(default, name)
        table = tables.get(name, {})
        if not isinstance(table, Mapping):
            raise InputError(f"{where}: [{name}] is a table of options, found {table!r}")
        mine = {f.name for f in fields(part)}
        flags = {n: v for n, v in given.items() if n in mine}
        kept = {n: v for n, v in table.items() if n not in flags}
        parts[name] = _fill(_fill(part, kept, f"{where}: [{name}] "), flags, "--")
    named = {**tables.get("model", {}), **given}
    if task != "char-lm" and not parts["data"].data and "tokens" not in named:
        parts["model"] = replace(parts["model"], tokens="char")
    for name in sorted(set(tables) - {"task", *parts}):
        what = "a table" if isinstance(tables[name], Mapping) else "outside of its tables an option"
        shown = f"[{name}]" if isinstance(tables[name], Mapping) else name
        raise InputError(f"{where} has {what} {shown}; there are [data], [model] and [training]")
    made = Configuration(task, **parts)
    _check(made)
    return made


def read_configuration(path: Path, task: str) -> dict[str, Any]:
    """The tables of a TOML file; its task has to be this one if it names one."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise InputError(f"{path}: {problem.strerror or problem}; --config takes a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise InputError(f"{path} is no TOML file: {problem}") from None
    if tables.get("task", task) != task:
        raise InputError(f"{path} is of the task {tables['task']}, not {task}")
    return tables


def _fill(part: Any, values: Mapping[str, Any], where: str) -> Any:
    hints = get_type_hints(type(part))
    known = {f.name: f for f in fields(part)}
    made: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise _unknown(where.strip(), name, known)
        shown = name.replace("_", "-") if where == "--" else name
        made[name] = _value(value, hints[name], known[name].metadata, f"{where}{shown}")
    return replace(part, **made)


def _unknown(where: str, name: str, known: Iterable[str]) -> InputError:
    near = get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(known)}"
    return InputError(f"{where} has no option {name}{hint}")


def _value(value: Any, kind: Any, limits: Mapping[str, Any], where: str) -> Any:
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise InputError(f"{where}: found {_shown(value)}, expected one of {', '.join(get_args(kind))}")
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        raise InputError(f"{where}: found {_shown(value)}, expected {KINDS[kind]}")
    if kind is float and not math.isfinite(value):
        raise InputError(f"{where}: found {value}, expected a finite number")
    minimum, below = limits.get("minimum"), limits.get("below")
    if minimum is not None and not value >= minimum:
        raise InputError(f"{where}: found {value}, expected at least {minimum:g}")
    if below is not None and not value < below:
        raise InputError(f"{where}: found {value}, expected less than {below:g}")
    return value


def _shown(value: Any) -> str:
    """A value as a TOML file has it."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _check(made: Configuration) -> None:
    """What two options say together."""
    model, training = made.model, made.training
    if model.model == "transformer" and model.width % model.heads:
        raise InputError(
            f"a width of {model.width} does not divide into {model.heads} heads: "
            f"choose --width as a multiple of --heads"
        )
    pairs = "rotary" if getattr(model, "positions", "") == "rotary" else None
    size = model.width // model.heads if pairs else model.width
    if model.model == "transformer" and getattr(model, "positions", "sinusoidal") != "learned" and size % 2:
        raise InputError(
            f"{getattr(model, 'positions', 'sinusoidal')} positions need an even number of features"
            f"{' in each head' if pairs else ''}, found {size}: choose another --width"
        )
    if training.batch % training.accumulate:
        raise InputError(
            f"a batch of {training.batch} does not divide into {training.accumulate} equal parts: "
            f"choose --batch as a multiple of --accumulate"
        )
