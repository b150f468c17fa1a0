"""What is read, and how it is divided; vocabularies."""

import itertools
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from gradproof.cli import run
from gradproof.models.configuration import make_configuration
from gradproof.models.data.cldr import language_names, written_dates
from gradproof.models.data.names import load_named
from gradproof.models.data.tables import read_rows
from gradproof.models.data.texts import documentation, read_corpus
from gradproof.models.mistakes import InputError
from gradproof.models.runs import make_task
from gradproof.models.tasks.sampling import Passes
from gradproof.models.vocabulary import UNKNOWN, Vocabulary, join, split

FLAGS = ("--text", "--label")


def test_the_documentation_of_python_is_the_default() -> None:
    corpus = read_corpus("", 0.1)
    assert corpus.train + corpus.valid == documentation()
    assert len(corpus.valid) == pytest.approx(0.1 * len(documentation()), rel=0.01)
    assert 'The simple form, "assert expression", is equivalent to' in documentation()


def test_a_folder_in_the_layout_of_the_penn_treebank(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        (tmp_path / f"ptb.{part}.txt").write_text(f" {part} <unk> n years old \n" * 40, encoding="utf-8")
    (tmp_path / "README").write_text("not a part", encoding="utf-8")
    corpus = read_corpus(str(tmp_path), 0.1)
    assert [p.split()[0] for p in (corpus.train, corpus.valid, corpus.test or "")] == [
        "train",
        "valid",
        "test",
    ]
    given = {"data": str(tmp_path), "tokens": "word", "model": "lstm", "width": 8, "context": 4, "batch": 2}
    task: Any = make_task(make_configuration("char-lm", {}, given))
    assert task.vocabulary.tokens == (UNKNOWN, "\n", "n", "old", "train", "years")
    assert len(task.train) == 40 * 6  # five words and the end of the line
    metrics = task.evaluate(torch.device("cpu"))
    characters = len(corpus.valid) - 1
    nats = metrics["bits_per_character"] * characters * 0.6931471805599453
    assert metrics["loss"] == pytest.approx(nats / (len(task.valid) - 1))


@pytest.mark.parametrize("model", ["lstm", "transformer"])
def test_evaluation_covers_every_token_once(model: str, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("abcdefghij" * 77, encoding="utf-8")
    given = {"data": str(path), "model": model, "width": 8, "context": 7, "batch": 2, "valid": 0.5}
    task: Any = make_task(make_configuration("char-lm", {}, given))
    places = torch.arange(len(task.valid))
    pairs = [
        (i, t)
        for inputs, target in task.windows(places)
        for i, t in zip(inputs.flatten().tolist(), target.flatten().tolist(), strict=True)
    ]
    assert sorted(pairs) == [(n, n + 1) for n in range(len(places) - 1)]


def test_the_character_files_of_the_penn_treebank(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        (tmp_path / f"ptb.{part}.txt").write_text(f" the <unk> {part} N \n", encoding="utf-8")
        spaced = " ".join(f"the_<unk>_{part}_N")
        (tmp_path / f"ptb.char.{part}.txt").write_text(f" {spaced} \n", encoding="utf-8")
    by_character, by_word = (read_corpus(str(tmp_path), 0.1, kind) for kind in (True, False))
    assert (by_character.train, by_character.valid, by_character.test) == (
        "the <unk> train N\n",
        "the <unk> valid N\n",
        "the <unk> test N\n",
    )
    assert by_word.train == " the <unk> train N \n"
    assert read_corpus(str(tmp_path / "ptb.char.train.txt"), 0.2).train == "the <unk> trai"
    (tmp_path / "char.txt").write_text("a char is set apart", encoding="utf-8")
    assert read_corpus(str(tmp_path / "char.txt"), 0.1).train == "a char is set apa"


def test_recurrent_batches_go_on_where_the_last_one_ended(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("abcdefghij" * 30, encoding="utf-8")
    given = {"data": str(path), "model": "lstm", "width": 8, "context": 7, "batch": 3}
    task: Any = make_task(make_configuration("char-lm", {}, given))
    batches = [task.batch(step) for step in range(13)]
    windows = 12
    for before, after in itertools.pairwise(batches[:windows]):
        assert torch.equal(before["target"][:, -1], after["tokens"][:, 0])
    assert [bool(b["fresh"][0]) for b in batches] == [True, *[False] * (windows - 1), True]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'n,label,text\n1,x,"one, two"\n2,y,"three\nfour"\n3,,left out\n'),
        ("a.tsv", "label\ttext\nx\tone, two\ny\tthree\n"),
        (
            "a.jsonl",
            '{"text": "one, two", "label": "x"}\n\n{"label": "y", "text": "3"}\n{"text": null, "label": 1}\n',
        ),
    ],
)
def test_columns_by_name(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    rows = read_rows(str(tmp_path / name), ("text", "label"), FLAGS, 0.5)
    assert len(rows.train) == len(rows.valid) == 1
    assert ("one, two", "x") in rows.train + rows.valid


@pytest.mark.parametrize("inside", ["\u2028", "\x0c", "\x85"])
def test_only_the_end_of_a_line_ends_a_row(inside: str, tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_text(f"a{inside}b\tx\nc\ty\n", encoding="utf-8")
    rows = [{"1": f"a{inside}b", "2": "x"}, {"1": "c", "2": "y"}]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "rows.jsonl").write_text(text, encoding="utf-8")
    for name in ("rows.tsv", "rows.jsonl"):
        read = read_rows(str(tmp_path / name), ("1", "2"), FLAGS, 0.5)
        assert sorted(read.train + read.valid) == [(f"a{inside}b", "x"), ("c", "y")]


def test_columns_by_number_and_parts_by_file(tmp_path: Path) -> None:
    for part in ("train", "dev", "test"):
        (tmp_path / f"{part}.tsv").write_text(f'5\t{part}\t"quoted\n', encoding="utf-8")
    rows = read_rows(str(tmp_path), ("3", "2"), FLAGS, 0.1)
    assert (rows.train, rows.valid, rows.test) == (
        [('"quoted', "train")],
        [('"quoted', "dev")],
        [('"quoted', "test")],
    )


def test_data_sets_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Rows(list[Any]):
        column_names = ("text", "label")
        features = {"text": None, "label": type("ClassLabel", (), {"names": ["bad", "good"]})}  # noqa: RUF012

    module: Any = ModuleType("datasets")
    module.load_dataset = lambda name, configuration: {"train": Rows([{"text": "fine", "label": 1}])}
    monkeypatch.setitem(__import__("sys").modules, "datasets", module)
    assert load_named("datasets:reviews", ["text", "label"]) == {"train": [{"text": "fine", "label": "good"}]}
    with pytest.raises(InputError, match="has no column stars; it has text, label"):
        load_named("datasets:reviews", ["stars"])
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(InputError, match=r"needs the package datasets: pip install 'gradproof\[datasets\]'"):
        load_named("datasets:reviews", ["text"])


def test_the_parts_of_the_default_data_share_nothing() -> None:
    names, dates = language_names(), written_dates()
    texts = [{text for text, _ in part} for part in (names.train, names.valid, names.test)]
    assert not texts[0] & texts[1] and not texts[0] & texts[2]
    assert ("Frankreich", "de") in names.train + names.valid + names.test
    days = [{date for _, date in part} for part in (dates.train, dates.valid, dates.test)]
    assert not days[0] & days[1] and not days[0] & days[2] and not days[1] & days[2]
    assert min(map(len, (*texts, *days))) > 500
    assert dates == written_dates()


@pytest.mark.parametrize("unit", ["char", "word", "field"])
def test_a_text_is_the_same_after_there_and_back(unit: Any) -> None:
    text = "a line of words\nand another"
    made = Vocabulary.of([text], unit)
    back = made.decode(made.encode(text))
    assert back == (text.replace("\n", " ") if unit == "word" else text)
    assert join(split(text, unit), unit) == back


def test_the_frequent_words_are_kept() -> None:
    made = Vocabulary.of(["a b b c c c <unk>"], "field", size=2)
    assert made.tokens == (UNKNOWN, "b", "c")
    assert made.encode("a b <unk>") == [0, 1, 0]
    assert made.unknown("a a d b") == ["a", "d"]


def test_each_pass_takes_every_row_once() -> None:
    passes = Passes(7, 3, seed=1)
    taken = [row for step in range(7) for row in passes.at(step)]
    assert [sorted(taken[n : n + 7]) for n in (0, 7, 14)] == [[*range(7)]] * 3
    assert taken[:7] != taken[7:14]
    assert passes.at(0) == Passes(7, 3, seed=1).at(0) != Passes(7, 3, seed=2).at(0)


@pytest.mark.parametrize("task", ["classify", "translate"])
def test_results_name_the_part_that_they_are_of(task: str, tmp_path: Path) -> None:
    flags = ["--steps=1", "--width=8", "--batch=2", "--heads=2", "--model=transformer"]
    columns = {"classify": ["--text=1", "--label=2"], "translate": ["--source=1", "--target=2"]}[task]
    (tmp_path / "train.tsv").write_text("up\ta\ndown\tb\n" * 10, encoding="utf-8")
    for expected in ("validation", "test"):
        out = tmp_path / f"run of {expected}"
        assert run(["train", task, str(tmp_path), *columns, *flags, f"--out={out}"]) == 0
        results = json.loads((out / "results.json").read_text(encoding="utf-8"))["test"]
        assert (results["part"], results["rows"]) == (expected, 2)
        (tmp_path / "test.tsv").write_text("up\ta\ndown\tb\n", encoding="utf-8")


def test_f1_is_a_mean_over_the_labels_that_occur(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n" + "up,a\ndown,b\nround,c\n" * 20, encoding="utf-8")
    given = {"data": str(path), "model": "mlp", "width": 4}
    task: Any = make_task(make_configuration("classify", {}, given))
    with torch.no_grad():
        task.model.output.weight.zero_()
        task.model.output.bias.copy_(torch.tensor([1.0, 0.0, 0.0]))  # always the first label
    rows = task.encode([("up", "a"), ("up", "a"), ("down", "b")])
    metrics, confusion = task.measure(rows, torch.device("cpu"))
    assert confusion.tolist() == [[2, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert metrics["accuracy"] == pytest.approx(2 / 3)
    assert metrics["f1"] == pytest.approx((0.8 + 0.0) / 2)
