# Every target makes the environment first: .venv, from requirements.lock. Nothing needs to be activated.

PYTHON ?= python3
BIN := .venv/bin
LOCKED := .venv/.locked
STAMP := .venv/.installed
REPORT := build/report

.DEFAULT_GOAL := help
.PHONY: help environment report test test-slow test-triton lint format bench clean

help:
	@echo "make report     derive, prove and check the whole catalogue; write $(REPORT)/index.html"
	@echo "make test       format and lint checks, types, import contracts, tests"
	@echo "make test-slow  the same, with the tests marked slow"
	@echo "make test-triton  the tests of Triton kernels, which need Triton: installs it"
	@echo "make lint       the checks without the tests"
	@echo "make format     format the code and repair what ruff can"
	@echo "make bench      the benchmarks"
	@echo "make clean      remove what was built, the environment included"

environment: $(STAMP)

# Some distributions ship venv without ensurepip; there pip is installed from outside.
$(LOCKED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit("gradproof needs Python 3.11 or newer: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	rm -rf .venv
	$(PYTHON) -m venv .venv || { $(PYTHON) -m venv --clear --without-pip .venv && \
		$(PYTHON) -m pip --python $(BIN)/python install pip; }
	$(BIN)/python -m pip install --disable-pip-version-check --requirement requirements.lock
	@touch $@

$(STAMP): $(LOCKED) pyproject.toml
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

report: $(STAMP)
	@$(BIN)/gradproof report --out $(REPORT); status=$$?; \
		if [ -f $(REPORT)/index.html ]; then echo "Open $(CURDIR)/$(REPORT)/index.html"; fi; exit $$status

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-logo

test: lint
	$(BIN)/python -m pytest

test-slow: lint
	$(BIN)/python -m pytest -m "slow or not slow"

test-triton: $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check triton
	TRITON_INTERPRET=1 $(BIN)/python -m pytest tests/numeric/test_triton.py -k "not exactly and not noticed"
	$(BIN)/python -m pytest tests/numeric/test_triton.py

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
