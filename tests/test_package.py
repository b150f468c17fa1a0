"""The package as users get it: what the wheel holds, and what an import costs."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import gradproof

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "gradproof": "gradproof",
    "symbolic": "gradproof/symbolic",
    "numeric": "gradproof/numeric",
    "models": "gradproof/models",
}


def run_python(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def list_files(folder: Path) -> Iterator[Path]:
    """The files below a folder, without following links, relative to it."""
    for path, _, names in os.walk(folder):
        yield from (Path(path, name).relative_to(folder) for name in names)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean copy of what the build reads: a leftover `build/` would leak into the wheel."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture(scope="module")
def distributions(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel built from the sdist."""
    out = tmp_path_factory.mktemp("distributions")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return out


def test_wheel_holds_the_packages_and_nothing_else(source: Path, distributions: Path) -> None:
    expected = {
        f"{target}/{path.as_posix()}"
        for folder, target in PACKAGES.items()
        for path in list_files(source / folder)
    }
    (wheel,) = distributions.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == expected


def test_sdist_has_no_links(distributions: Path) -> None:
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        assert not [member.name for member in archive if member.issym() or member.islnk()]


def test_links_are_relative() -> None:
    for name in ("symbolic", "numeric", "models"):
        assert os.readlink(ROOT / "gradproof" / name) == f"../{name}"


def test_versions_agree() -> None:
    assert version("gradproof") == gradproof.__version__
    assert f"\nversion: {gradproof.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_lock_pins_every_requirement() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    pins = {canonicalize_name(name): pin for name, pin in pins.items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for name in ("transformers", "datasets", "triton"):  # no part of the development environment
        extras.pop(name)
    groups = [project["dependencies"], *extras.values()]
    requirements = [
        Requirement(text) for group in groups for text in group if not text.startswith("gradproof")
    ]
    assert requirements
    for requirement in requirements:
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, str(requirement)
    assert all(re.fullmatch(r"[0-9.]+(\.post[0-9]+)?", pin) for pin in pins.values())


def test_import_is_light() -> None:
    code = "import sys, gradproof; print({'torch', 'numpy', 'sympy'} & {*sys.modules})"
    assert run_python(code).strip() == "set()"


def test_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'derivative'"):
        _ = gradproof.derivative


def test_symbolic_imports_no_floats() -> None:
    code = """
import importlib, pkgutil, sys
import gradproof.symbolic as package
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
    print(module.name)
assert not {"numpy", "torch"} & {*sys.modules}
"""
    assert "gradproof.symbolic.catalogue" in run_python(code).split()


def find_nn(source: str) -> set[str]:
    """What a source mentions of `torch.nn`, apart from `torch.nn.functional`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "torch.nn":
            names.add(ast.unparse(node))
    return {name for name in names if re.match(r"torch\.nn(?!\.functional\b)\b", name)}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import torch.nn as nn", {"torch.nn"}),
        ("from torch import nn", {"torch.nn"}),
        ("from torch.nn import Module", {"torch.nn.Module"}),
        ("import torch; isinstance(x, torch.nn.Module)", {"torch.nn.Module"}),
        ("import torch; torch.nn.functional.gelu(x)", set()),
        ("from torch.nn import functional", set()),
        ("from torch.nn.functional import gelu", set()),
    ],
)
def test_find_nn(source: str, found: set[str]) -> None:
    assert find_nn(source) == found


def test_numeric_knows_no_module_of_nn() -> None:
    for path in (ROOT / "numeric").rglob("*.py"):
        assert not find_nn(path.read_text(encoding="utf-8")), path
