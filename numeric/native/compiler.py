"""The system's C compiler: found once, its results kept on disk by what went into them."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from importlib.resources import files
from pathlib import Path

FLAGS = (
    "-O3",
    "-march=native",
    "-std=c11",
    "-fPIC",
    "-shared",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
)
"""A multiplication and the addition behind it may be rounded once, together; nothing else may change a value:
no reassociation, infinities and NaN as they are."""


class CompilationError(RuntimeError):
    """The compiler refused a generated source; holds its message."""


@cache
def compiler() -> str | None:
    """The path of the C compiler: `$CC`, cc, gcc or clang. None without one, or if `$CC` is empty."""
    chosen = os.environ.get("CC")
    if chosen is not None:
        return shutil.which(chosen) if chosen else None
    return next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)


def load(source: str, *, single: bool) -> ctypes.CDLL:
    """The library compiled from a source, in float32 if `single`, else in float64.

    Raises CompilationError where there is no compiler, or where it refuses the source.
    """
    text = leaves() + source
    flags = (*FLAGS, *(("-DSINGLE",) if single else ()), *(("-fopenmp",) if shares_threads() else ()))
    key = hashlib.sha256("\0".join([text, *flags, identity()]).encode()).hexdigest()[:32]
    library = directory() / f"{key}.so"
    if not library.exists():
        build(text, flags, library)
    return ctypes.CDLL(str(library))


@cache
def leaves() -> str:
    """The leaf functions, which stand before each generated source."""
    return files("gradproof.numeric.native").joinpath("leaves.h").read_text()


@cache
def identity() -> str:
    """What a compiled library depends on besides its source: the compiler and the processor."""
    path = compiler()
    if path is None:
        raise CompilationError("there is no C compiler: neither $CC nor cc, gcc or clang was found")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    return f"{path} {version} {platform.machine()} {processor()}"


@cache
def shares_threads() -> bool:
    """Whether OpenMP in a compiled library means the threads that PyTorch has, not others beside them.

    GCC's OpenMP is the library libgomp.so.1, of which a process has one: PyTorch's, if it has loaded it by
    that name. Other compilers and systems compile without OpenMP.
    """
    maps = Path("/proc/self/maps")
    if not maps.exists() or "Free Software Foundation" not in identity():
        return False
    return any(line.endswith("/libgomp.so.1") for line in maps.read_text().splitlines())


def processor() -> str:
    """The features of the processor, for which `-march=native` compiles."""
    described = Path("/proc/cpuinfo")
    if not described.exists():
        return platform.processor()
    lines = described.read_text().splitlines()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


@cache
def directory() -> Path:
    """Where compiled libraries are kept: the user's cache, or a folder of this process."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kept = base / "gradproof"
    try:
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=kept):
            return kept
    except OSError:
        return Path(tempfile.mkdtemp(prefix="gradproof-"))


def build(text: str, flags: tuple[str, ...], library: Path) -> None:
    """Compile a text into a library that appears whole or not at all, whoever else compiles it."""
    path = compiler()
    if path is None:
        raise CompilationError("there is no C compiler: neither $CC nor cc, gcc or clang was found")
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        source, made = Path(folder, "blocks.c"), Path(folder, "blocks.so")
        source.write_text(text)
        done = subprocess.run(
            [path, *flags, "-o", str(made), str(source), "-lm"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CompilationError(f"{path} refused a generated source:\n{done.stderr}")
        made.replace(library)
