"""What is said of input that cannot be used: what was found, what was expected, what to do."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gradproof.cli import MISUSE, run
from gradproof.models.configuration import make_configuration
from gradproof.models.mistakes import InputError

TEXT = "the cat sat on the mat, and the rat sat on the cat. " * 20
SMALL = ["--width=8", "--layers=1", "--heads=2", "--context=8", "--batch=4", "--steps=2", "--warmup=1"]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one line that a command which is misuse prints."""

    def call(*arguments: object) -> str:
        capsys.readouterr()
        assert run([*map(str, arguments)]) == MISUSE
        printed = capsys.readouterr()
        assert printed.out == ""
        (line,) = printed.err.splitlines()
        return line.removeprefix("gradproof: ")

    return call


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    folder = tmp_path / "run"
    assert run(["train", "char-lm", str(tmp_path / "text.txt"), *SMALL, f"--out={folder}"]) == 0
    return folder


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "{path} is empty; a text to learn from was expected"),
        (b" \n\n ", "{path} is empty; a text to learn from was expected"),
        (b"abc\xff\xfe", "{path} is no text: its byte 3 is not UTF-8; give a text file, saved as UTF-8"),
        (b"abc\0def", "{path} is no text: it holds the byte 0; give a text file, saved as UTF-8"),
        (
            b"too short",
            "{path} is too short: 8 characters for training, expected at least 33 with a context of "
            "8 for each "
            "of 4 streams; give a longer text, or a smaller --context or --batch",
        ),
        (b"a", "{path}: 1 characters leave nothing to train or nothing to validate on with --valid 0.1"),
    ],
)
def test_texts(content: bytes, message: str, tmp_path: Path, said: Callable[..., str]) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    assert said("train", "char-lm", path, *SMALL, f"--out={tmp_path / 'run'}") == message.format(path=path)
    assert not (tmp_path / "run").exists()


def test_files_that_are_not_there(tmp_path: Path, said: Callable[..., str]) -> None:
    path, out = tmp_path / "none", f"--out={tmp_path / 'run'}"
    assert said("train", "char-lm", path, out).startswith(f"{path}: there is no such file; give a text file")
    assert said("train", "classify", path, out).startswith(f"{path}: there is no such file; give a CSV")
    assert said("train", "resume", path) == (
        f"{path} holds no run: there is no run.json in it; give the folder that --out named"
    )
    assert said("generate", path).startswith(f"{path}: there is no such checkpoint")


def test_what_does_not_fit_into_memory(tmp_path: Path, said: Callable[..., str]) -> None:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    line = said("train", "char-lm", path, *SMALL, "--width=1000000", f"--out={tmp_path / 'run'}")
    assert line == (
        "this does not fit into memory: 16000000000000 bytes were asked for at once; choose a smaller "
        "--batch, --context, --width or --layers"
    )


def test_parts_without_a_row(tmp_path: Path, said: Callable[..., str]) -> None:
    (tmp_path / "train.csv").write_text("text,label\ngood,5\nbad,1\n", encoding="utf-8")
    (tmp_path / "valid.csv").write_text("text,label\n ,5\n", encoding="utf-8")
    assert said("train", "classify", tmp_path, f"--out={tmp_path / 'run'}") == (
        f"{tmp_path}: no row of its valid part has a text in each column; give one or more"
    )


def test_a_file_is_no_folder_of_a_run(tmp_path: Path, said: Callable[..., str]) -> None:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    sentence = f"{path} holds no run: it is a file; give the folder that --out named"
    assert said("train", "resume", path) == said("generate", path) == said("analyze", path) == sentence


def test_folders(tmp_path: Path, said: Callable[..., str]) -> None:
    (tmp_path / "notes.txt").write_text(TEXT, encoding="utf-8")
    assert said("train", "char-lm", tmp_path) == (
        f"{tmp_path} holds notes.txt; expected are train.txt, valid.txt and test.txt"
    )
    for name in ("a.train.txt", "b.train.txt"):
        (tmp_path / name).write_text(TEXT, encoding="utf-8")
    assert said("train", "char-lm", tmp_path) == (
        f"{tmp_path} holds a.train.txt, b.train.txt: which of them is train? Leave one, or give a file"
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "rows.csv",
            "review,stars\ngood,5\nbad,1\n",
            "{path}: there is no column 'label'; its columns are 'review', 'stars'; name the right "
            "one with --label, or all by number where there is no line of names",
        ),
        (
            "rows.csv",
            "review,label\ngood,5\nbad\n",
            "{path}, row 3: found 1 column, expected at least 2; is the file separated by commas?",
        ),
        ("rows.csv", 'review,label\n"good,5\n', "{path} is no CSV file: unexpected end of data"),
        (
            "rows.csv",
            "review,label\ngood,5\nbetter,5\nbest,5\n",
            "{path}: in the 2 rows for training the column label holds only '5'; expected are two "
            "labels or more",
        ),
        (
            "rows.csv",
            "review;label\ngood;5\n",
            "{path}: there is no column 'review'; its columns are 'review;label'; name the right one with "
            "--text, or all by number where there is no line of names; is the file separated by commas?",
        ),
        ("rows.csv", "review,label\n", "{path}: no row has a text in each column; give one or more"),
        (
            "rows.jsonl",
            '{"review": ["good", "fine"], "label": 5}\n',
            '{path}, line 1: the column review holds ["good", "fine"], expected a text or a number',
        ),
        (
            "rows.jsonl",
            '{"review": "good", "label": 5}\n{"review": "bad"}\n',
            "{path}, line 2: there is no column 'label'; its columns are 'review'; name the right "
            "one with --label",
        ),
        ("rows.jsonl", "good\n", "{path}, line 1 is no JSON: Expecting value: line 1 column 1 (char 0)"),
        ("rows.jsonl", "[1]\n", "{path}, line 1: found [1], expected an object with columns"),
        (
            "rows.txt",
            "good 5\n",
            "{path}: rows are read from files that end in .csv, .tsv, .jsonl; name it so",
        ),
    ],
)
def test_rows(name: str, content: str, message: str, tmp_path: Path, said: Callable[..., str]) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    command = ["train", "classify", path, "--text=review", f"--out={tmp_path / 'run'}", *SMALL]
    assert said(*command) == message.format(path=path)


def test_a_column_by_number(tmp_path: Path, said: Callable[..., str]) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("good,5\nbad,1\n", encoding="utf-8")
    out = f"--out={tmp_path / 'run'}"
    assert (
        said("train", "classify", path, "--text=0", "--label=1", out)
        == "--text 0: columns are counted from 1"
    )
    assert said("train", "classify", path, "--text=1", "--label=9", out) == (
        f"{path}, row 1: found 2 columns, expected at least 9; is the file separated by commas?"
    )


def test_pairs_of_the_test_that_are_too_long(tmp_path: Path, said: Callable[..., str]) -> None:
    for part, text in (("train", "a"), ("valid", "a"), ("test", "a b c")):
        (tmp_path / f"{part}.tsv").write_text(f"{text}\tb\n", encoding="utf-8")
    flags = ["--source=1", "--target=2", "--context=2", f"--out={tmp_path / 'run'}"]
    assert said("train", "translate", tmp_path, *flags) == (
        f"{tmp_path}: of 1 pairs for the test none has at most 2 tokens in each text; "
        "choose a larger --context"
    )


def test_pairs_that_are_too_long(tmp_path: Path, said: Callable[..., str]) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{'a b ' * 9}{n}\tb\n" for n in range(20)), encoding="utf-8")
    command = [
        "train",
        "translate",
        path,
        "--source=1",
        "--target=2",
        "--context=4",
        f"--out={tmp_path / 'run'}",
    ]
    assert said(*command) == (
        f"{path}: of 18 pairs for training none has at most 4 tokens in each text; choose a larger --context"
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--model=transformer", "--width=10", "--heads=4"],
            "a width of 10 does not divide into 4 heads: choose --width as a multiple of --heads",
        ),
        (
            ["--model=transformer", "--width=6", "--heads=2", "--positions=rotary"],
            "rotary positions need an even number of features in each head, found 3: choose another --width",
        ),
        (
            ["--batch=10", "--accumulate=4"],
            "a batch of 10 does not divide into 4 equal parts: choose --batch as a multiple of --accumulate",
        ),
        (["--dropout=1"], "--dropout: found 1.0, expected less than 1"),
        (["--layers=0"], "--layers: found 0, expected at least 1"),
        (["--min-lr=inf"], "--min-lr: found inf, expected a finite number"),
        (["--lr=nan"], "--lr: found nan, expected a finite number"),
        (["--threads=5000"], "--threads: found 5000, expected less than 1025"),
        (
            ["--device=tpu9"],
            "there is no device tpu9; --device takes auto, cpu, cuda or cuda:1",
        ),
        (["--device=meta"], "the kernels run on cpu and cuda, not on meta; --device takes auto, cpu or cuda"),
        (
            ["--device=cuda:99"],
            "there is no device cuda:99: of CUDA devices, none there; use --device auto or cpu",
        ),
    ],
)
def test_options(
    flags: list[str], message: str, said: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert said("train", "char-lm", *flags) == message


def test_a_flag_before_a_file_is_what_is_named(tmp_path: Path, said: Callable[..., str]) -> None:
    path = tmp_path / "run.toml"
    path.write_text("[model]\ndropout = 0.5\n", encoding="utf-8")
    assert said("train", "char-lm", f"--config={path}", "--dropout=2") == (
        "--dropout: found 2.0, expected less than 1"
    )


def test_an_option_that_is_not_there_from_python() -> None:
    with pytest.raises(InputError, match=r"^the task char-lm has no option widht; did you mean width"):
        make_configuration("char-lm", {}, {"widht": 3})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[model]\nwidht = 3\n", "{path}: [model] has no option widht; did you mean width?"),
        ("[model]\nwidth = '3'\n", '{path}: [model] width: found "3", expected a whole number'),
        ("[model]\nwidth = true\n", "{path}: [model] width: found true, expected a whole number"),
        ("[training]\nlr = {}\n", "{path}: [training] lr: found {{}}, expected a number"),
        ("[training]\nlr = inf\n", "{path}: [training] lr: found inf, expected a finite number"),
        ("[training]\ntensorboard = 1\n", "{path}: [training] tensorboard: found 1, expected true or false"),
        ("[data]\ndata = 2024-01-01\n", '{path}: [data] data: found "2024-01-01", expected a text in quotes'),
        (
            "[model]\nmodel = 'gpt'\n",
            '{path}: [model] model: found "gpt", expected one of rnn, lstm, gru, transformer',
        ),
        (
            "width = 3\n",
            "{path} has outside of its tables an option width; there are [data], [model] and [training]",
        ),
        ("[modle]\n", "{path} has a table [modle]; there are [data], [model] and [training]"),
        ("model = 3\n", "{path}: [model] is a table of options, found 3"),
        ("task = 'classify'\n", "{path} is of the task classify, not char-lm"),
        (
            "[model\n",
            "{path} is no TOML file: Expected ']' at the end of a table declaration (at line 1, column 7)",
        ),
    ],
)
def test_configurations(content: str, message: str, tmp_path: Path, said: Callable[..., str]) -> None:
    path = tmp_path / "run.toml"
    path.write_text(content, encoding="utf-8")
    assert said("train", "char-lm", f"--config={path}") == message.format(path=path)


def test_checkpoints(trained: Path, said: Callable[..., str]) -> None:
    last, best = trained / "last.safetensors", trained / "best.safetensors"
    whole = last.read_bytes()
    for size in (0, 5, 400, len(whole) - 1):
        last.write_bytes(whole[:size])
        line = said("train", "resume", trained)
        assert line.startswith(f"{last} is cut short or no safetensors file")
        assert line.endswith("use another checkpoint of the run, or train again")
    last.write_bytes(best.read_bytes())
    assert said("train", "resume", trained) == (
        f"{last} holds weights alone; a run goes on from what it wrote as last.safetensors"
    )
    best.write_bytes(b"PK\x03\x04 a pickle in a zip file")
    assert said("generate", trained).startswith(f"{best} is cut short or no safetensors file")


def test_a_checkpoint_of_another_model(trained: Path, said: Callable[..., str]) -> None:
    path = trained / "run.json"
    described = json.loads(path.read_text(encoding="utf-8"))
    described["configuration"]["model"]["width"] = 16
    path.write_text(json.dumps(described), encoding="utf-8")
    assert said("generate", trained) == (
        f"{trained / 'best.safetensors'} is of another model: embedding.weight has the shape [15, 8], "
        "expected "
        f"[15, 16]; use a checkpoint of this configuration"
    )
    described["configuration"]["model"] |= {"width": 8, "layers": 2}
    path.write_text(json.dumps(described), encoding="utf-8")
    assert said("generate", trained) == (
        f"{trained / 'best.safetensors'} is of another model: it lacks layers.bias_hh_l1; use a "
        "checkpoint of this "
        f"configuration"
    )
    without = {**described, "task": {"unit": "char"}}
    path.write_text(json.dumps(without), encoding="utf-8")
    assert said("generate", trained) == f"{path} lacks vocabulary of a run of char-lm; train again"
    for name in ("task", "configuration"):
        path.write_text(json.dumps({**described, name: [1]}), encoding="utf-8")
        assert said("generate", trained).startswith(f"{path} is cut short or not what gradproof train writes")
    path.write_text(json.dumps(described)[:100], encoding="utf-8")
    assert said("generate", trained) == (
        f"{path} is cut short or not what gradproof train writes; train again"
    )


def test_runs_and_their_data(trained: Path, said: Callable[..., str]) -> None:
    text = trained.parent / "text.txt"
    assert said("train", "char-lm", text, f"--out={trained}") == (
        f"{trained} holds a run already: `gradproof train resume {trained}` goes on with it; give "
        "another --out "
        f"for a new one"
    )
    text.write_text(TEXT.replace("cat", "dog"), encoding="utf-8")
    assert said("train", "resume", trained) == (
        f"the data of {trained} have changed since the run began; put them back, or train again"
    )


def test_prompts(trained: Path, said: Callable[..., str]) -> None:
    assert said("generate", trained, "--prompt=the zebra") == said(
        "analyze", trained, "--prompt=the zebra", "--eigenvalues=0"
    )
    assert said("generate", trained, "--prompt=the zebra") == (
        "the prompt holds the character 'z', which the text that the model was trained on does not; "
        "give a prompt "
        "without it"
    )
    assert said("generate", trained, "--prompt=the", "--top-p=0") == (
        "expected a finite temperature >= 0, top_k >= 0 and 0 < top_p <= 1, found 0.8, 0 and 0"
    )
    for temperature in ("nan", "inf", "-1"):
        line = said("generate", trained, "--prompt=the", f"--temperature={temperature}")
        assert line.startswith("expected a finite temperature >= 0")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "char-lm", "--model=gpt"],
            "Invalid value for '--model': 'gpt' is not one of 'rnn', 'lstm', 'gru', 'transformer'.",
        ),
        (
            ["train", "char-lm", "--layers=1.5"],
            "Invalid value for '--layers': found 1.5, expected a whole number",
        ),
        (["train", "char-lm", "--lr=fast"], "Invalid value for '--lr': found fast, expected a number"),
        (["generate", "run", "--length=-1"], "Invalid value for '--length': found -1, expected at least 0"),
        (
            ["generate", "run", f"--seed={2**63}"],
            f"Invalid value for '--seed': found {2**63}, expected at most {2**63 - 1}",
        ),
        (["show", "softmax", "--target=fortran"], "Invalid value for '--target': 'fortran' is not one of "),
    ],
)
def test_values_that_an_option_does_not_take(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == MISUSE
    first, *_ = capsys.readouterr().err.splitlines()
    assert first.startswith(message)


@pytest.mark.parametrize(
    ("flags", "name", "install"),
    [
        (["char-lm"], "safetensors", "gradproof[train]"),
        (["translate"], "sacrebleu", "gradproof[train]"),
        (["char-lm", "--tensorboard"], "tensorboard", "tensorboard"),
    ],
)
def test_packages_that_are_not_there(
    flags: list[str], name: str, install: str, said: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "gradproof.train_command.find_spec", lambda asked: None if asked == name else object()
    )
    assert said("train", *flags) == (
        f"this needs the package {name}, which is not there: pip install '{install}'"
    )
