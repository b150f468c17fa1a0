"""Hypothesis profiles, by the variable HYPOTHESIS_PROFILE, and the flag that accepts generated sources."""

import os

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:  # there is a process for each core: further threads wait for them
    os.environ.setdefault("OMP_NUM_THREADS", "1")

collect_ignore = ["backwards"]  # imported by test_backwards.py, as tests.backwards

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=50)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--accept", action="store_true", help="keep the generated sources as they are now")


@pytest.fixture
def accept(request: pytest.FixtureRequest) -> bool:
    """Whether what was generated is to be kept."""
    return bool(request.config.getoption("--accept"))
