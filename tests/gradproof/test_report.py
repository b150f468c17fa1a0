"""The report: what its pages hold, that they stand alone, and that a browser shows them."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.image import imread

from gradproof.report import collect as collecting
from gradproof.report.build import Built, build_report
from gradproof.report.collect import Curve, Evidence, Form, OperationReport, summarize
from gradproof.report.helpers import Helpers
from gradproof.report.html import index_page, operation_page
from gradproof.report.plots import pictures
from gradproof.report.prose import first_sentence, inline
from gradproof.report.steps import rules_used, subjects
from gradproof.symbolic.derivation import derive
from gradproof.symbolic.operation import find
from gradproof.symbolic.verdict import Ground, Verdict, Witness

NAMES = ("sigmoid", "softmax", "layer_norm", "lstm", "attention")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
VOID = {"meta", "br", "hr", "img", "link", "input", "col"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build_report([find(name) for name in NAMES], tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def pages(built: Built) -> dict[str, str]:
    folder = built.first_page.parent
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.html")}


class Outline(HTMLParser):
    """Checks that every element is closed in order, and keeps tags and links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "xlink:href")]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, (tag, self.open[-4:])
        self.open.pop()


def test_files(built: Built) -> None:
    folder = built.first_page.parent
    expected = {"index.html", "report.json", *(f"{name}.html" for name in NAMES)}
    assert {path.name for path in folder.iterdir()} == expected
    assert built.verdict == "proved"
    data = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert list(data) == list(NAMES)
    for record in data.values():
        assert {"verdict", "ground", "witness", "reason", "notes", "seconds", "evidence"} <= record.keys()


def test_pages_stand_alone(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        outline = Outline(text)
        assert "script" not in outline.tags and "link" not in outline.tags, name
        outside = [link for link in outline.links if link.startswith(("http:", "https:", "//"))]
        assert not outside, (name, outside)
        assert not re.search(r"url\(\s*['\"]?(?!#)", text), name
        assert "@import" not in text
        for link in outline.links:
            target, _, anchor = link.partition("#")
            assert not target or target.removesuffix(".html") in pages or target == "report.json", link
            assert target or anchor in outline.ids, link


def test_pages_are_accessible(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        outline = Outline(text)
        assert outline.headings.count(1) == 1, name
        assert outline.headings[0] == 1
        for before, after in zip(outline.headings, outline.headings[1:], strict=False):
            assert after <= before + 2, (name, outline.headings)
        assert len(set(outline.ids)) == len(outline.ids), name
        assert '<html lang="en">' in text
        assert re.search(r"<title>[^<]+</title>", text)
        assert "<main" in text
        if "<table" in text:
            assert 'scope="col"' in text


def test_pages_hold_what_was_recorded(built: Built, pages: dict[str, str]) -> None:
    for report in built.reports:
        text = pages[report.name]
        assert text.count("<math") > 10
        vjp = derive(report.operation)
        assert f"All {len(vjp.steps)} steps" in text
        assert text.count("<li id=") == sum(form.steps for form in report.forms)
        for rule in rules_used(vjp):
            assert f">{rule}</abbr>" in text
        for theorem in report.theorems:
            assert theorem.name in text
        for source in report.forms[0].sources:
            assert "NumPy" in text if source.target == "numpy" else "PyTorch" in text
        if not report.evidence:
            assert "No numerical check was recorded" in text
        assert f'href="{report.name}.html"' in pages["index"]
    assert 'class="hot"' in pages["layer_norm"]
    assert "for <math" in pages["lstm"]


def test_every_step_is_in_a_chain() -> None:
    for name in NAMES:
        for kind in ("vjp", "jvp"):
            derivation = derive(find(name), kind)
            numbers = [
                link.number
                for subject in subjects(derivation)
                for chain in subject.chains
                for link in chain.links
                if link.number is not None
            ]
            assert sorted(numbers) == list(range(1, len(derivation.steps) + 1))


def report_with(verdicts: list[Verdict], **fields: object) -> OperationReport:
    softmax = find("softmax")
    left = derive(softmax).program.statements[-1].value  # pyright: ignore[reportAttributeAccessIssue]
    theorems = tuple(collecting.Proved(f"theorem {n}", left, left, v) for n, v in enumerate(verdicts))
    return OperationReport((Form(softmax, theorems=theorems, **fields),))  # pyright: ignore[reportArgumentType]


PROVED = Verdict("proved", ground=Ground("normal-form", sizes=("classes >= 1",)))
REFUTED = Verdict("refuted", witness=Witness({"x": "1/2"}, "0", "1"))
UNDECIDED = Verdict("undecided", reason="it is <too> large")


def test_verdicts_are_combined() -> None:
    assert report_with([]).verdict.verdict == "undecided"
    assert report_with([PROVED, PROVED]).verdict.ground == PROVED.ground
    assert report_with([PROVED, UNDECIDED]).verdict.verdict == "undecided"
    made = report_with([UNDECIDED, REFUTED, PROVED]).verdict
    assert (made.verdict, made.witness) == ("refuted", REFUTED.witness)
    induction = Verdict("proved", ground=Ground("induction", assumes=("a",)))
    joined = summarize([PROVED, induction], ["a", "b"]).ground
    assert joined == Ground("induction", sizes=("classes >= 1",), assumes=("a",))


def test_what_is_not_proved_is_said() -> None:
    text = operation_page(report_with([REFUTED, UNDECIDED]))
    Outline(text)
    assert "x = 1/2" in text
    assert "it is &lt;too&gt; large" in text
    assert 'class="verdict refuted"' in text and 'class="verdict undecided"' in text
    index = index_page([report_with([REFUTED])], 1.0)
    assert "<b>1</b> refuted" in index and "<b>0</b> proved" in index


def test_evidence_is_shown() -> None:
    evidence = (
        Evidence("against autograd", "torch", "float64", 12, True, 1.25, 4.0, "two shapes"),
        Evidence("against mpmath", "numpy", "float32", 1, False),
    )
    report = report_with([PROVED], evidence=evidence)
    text = operation_page(report)
    assert "1.25" in text and "passed" in text and "failed" in text and "two shapes" in text
    assert report.to_dict()["evidence"][0]["error"] == 1.25
    assert "No numerical check" not in text
    index = index_page([report], 1.0)
    assert "<b>1</b> failed" in index and "2 checks (1 failed)" in index


def test_a_stage_that_fails_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no luck")

    monkeypatch.setattr("gradproof.symbolic.proof.prove_operation", fail)
    report = collecting.collect(find("sigmoid"))
    assert report.failures == ("sigmoid: proof: RuntimeError: no luck",)
    assert report.verdict.verdict == "undecided"
    assert "RuntimeError: no luck" in operation_page(report)


def test_plots() -> None:
    form = Form(
        find("sigmoid"),
        function=(Curve("y", (0.0, 1.0), (0.5, 0.7)), Curve("dy/dx", (0.0, 1.0), (0.25, 0.2))),
        errors=(Curve("float32", (0.0, 1.0, 1e30), (0.5, 1.0, 2.0)),),
    )
    first, second = pictures(form)
    for picture in (first, second):
        assert picture.svg.startswith("<svg") and "currentColor" in picture.svg
        assert "var(--line-1)" in picture.svg
        assert "#0103" not in picture.svg
    assert ">dy/dx<" in first.svg
    assert "error in ulp" in second.svg


def test_prose() -> None:
    made = inline("a $x^2$ and `b<c`")
    assert "<math" in made and "<code>b&lt;c</code>" in made
    assert first_sentence("The rectifier (Dugas et al. 2001). More.") == "The rectifier (Dugas et al. 2001)."


@pytest.mark.parametrize(
    ("form", "first", "said"),
    [
        ("markdown", "index.md", "[softmax](softmax.md)"),
        ("latex", "report.tex", r"\end{document}"),
        ("json", "report.json", '"verdict": "proved"'),
    ],
)
def test_other_formats(form: str, first: str, said: str, tmp_path: Path) -> None:
    built = build_report([find("softmax")], tmp_path, form)
    assert built.first_page.name == first
    assert said in built.first_page.read_text(encoding="utf-8")
    if form == "json":
        made = json.loads((tmp_path / "softmax.json").read_text(encoding="utf-8"))
        assert made["forms"][0]["derivations"][0]["steps"]
    if form == "markdown":
        text = (tmp_path / "softmax.md").read_text(encoding="utf-8")
        assert "gradproofhot" not in text and r"\frac{\partial" in text


# --- in a browser


def browse(page: Path, profile: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    assert CHROMIUM is not None
    settings = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars")
    quiet = ("--disable-background-networking", f"--user-data-dir={profile}")
    command = [CHROMIUM, *settings, *quiet, *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, check=False, timeout=120)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: the pages were not looked at in a browser")
@pytest.mark.parametrize("name", ["index", "lstm"])
def test_in_a_browser(name: str, built: Built, tmp_path: Path) -> None:
    page = built.first_page.parent / f"{name}.html"
    picture = tmp_path / "page.png"
    shot = browse(page, tmp_path / "a", f"--screenshot={picture}", "--window-size=1000,1400")
    assert picture.exists(), shot.stderr.decode(errors="replace")[-2000:]
    pixels = imread(picture)[..., :3]
    assert pixels.shape[:2] == (1400, 1000)
    assert pixels.std() > 0.02, "the page is blank"
    rows = pixels.std(axis=(1, 2)) > 0.02
    assert rows.mean() > 0.15, "little is shown"
    dumped = browse(page, tmp_path / "b", "--dump-dom").stdout.decode()
    assert dumped.count("<mfrac>") + dumped.count("<msub>") > 3
    assert "<merror" not in dumped


def test_no_formula_is_empty(pages: dict[str, str]) -> None:
    for text in pages.values():
        assert "<math></math>" not in text
        assert not re.search(r"<m[ion]></m[ion]>", text)


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
def test_helpers_find_what_this_process_finds() -> None:
    wanted = [find("relu"), find("square")]
    with Helpers(wanted, 1) as helpers:
        for each in wanted:
            assert helpers.verify(each) == Helpers(()).verify(each)
            assert helpers.draw_errors(each) == Helpers(()).draw_errors(each)


def test_the_first_page_has_a_gradient_for_each_operation() -> None:
    reports = [
        OperationReport((Form(find(n), (derive(find(n)),)),)) for n in ("gelu_tanh", "layer_norm", "lstm")
    ]
    page = index_page(reports, 1.0)
    assert page.count('<td class="formula"><div class="scroll" tabindex="0"><math') == 3
    assert 'class="more"' in page  # a long one is broken, also within parentheses
