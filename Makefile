# `make demo` runs the main job, `make test` the tests; both set up what they need.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: demo test test-long test-services test-wheel lint bench simulate mutate docs lock clean

$(BIN)/uv:
	@test -n "$(PYTHON)" || { echo "flipback needs Python 3.11 or newer: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/.demo: $(BIN)/uv pyproject.toml requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint requirements.lock --editable '.[examples]'
	@touch $@

$(VENV)/.dev: $(BIN)/uv pyproject.toml requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --requirement requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	$(BIN)/python examples/enterprise_cohort/run.py $(ARGS)

test: $(VENV)/.dev lint
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m 'not long' $(ARGS)

# Whole rollouts, drills and crashes: what takes seconds each.
test-long: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m long $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --check --quiet
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/pyright

# Real servers and a real browser, installed where they are missing.
test-services: $(VENV)/.dev
	@command -v chromium chromium-browser google-chrome >/dev/null \
		|| { apt-get update -qq && apt-get install -y -qq chromium; }
	$(BIN)/python -m pytest tests/services $(ARGS)

# The tests once more, against what users install instead of the source tree, and
# with the oldest releases of its dependencies that it allows.
test-wheel: $(VENV)/.dev
	rm -rf dist $(VENV)-wheel
	$(BIN)/python -m build --quiet --installer uv
	$(PYTHON) -m venv $(VENV)-wheel
	$(BIN)/uv pip install --quiet --python $(VENV)-wheel/bin/python --resolution lowest-direct --requirements pyproject.toml --extra examples --group tests
	$(BIN)/uv pip install --quiet --python $(VENV)-wheel/bin/python --no-deps dist/*.whl
	$(VENV)-wheel/bin/python -m pytest --numprocesses 2 --dist worksteal -m 'not long' tests

bench: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks $(ARGS)

simulate: $(VENV)/.dev
	$(BIN)/python -m tests.simulations $(ARGS)

# What a changed latch or state machine would have to get past.
mutate: $(VENV)/.dev
	rm -rf .mutants && mkdir -p .mutants/src .mutants/tests
	cp -r sdk/flipback .mutants/src/
	cp tests/mutation.toml .mutants/pyproject.toml
	cp -r tests/plugins tests/conftest.py tests/sdk/test_latch*.py tests/sdk/test_rollout.py tests/sdk/test_steering*.py .mutants/tests/
	cd .mutants && ../$(BIN)/mutmut run $(ARGS) && ../$(BIN)/mutmut results

docs: $(VENV)/.dev
	$(BIN)/sphinx-build -n -W --keep-going -b html docs docs/_build/html

lock: $(BIN)/uv
	$(BIN)/uv pip compile --quiet --python-version 3.11 --universal --all-extras --group dev --generate-hashes --no-emit-index-url --no-header pyproject.toml --output-file requirements.lock

clean:
	rm -rf $(VENV) $(VENV)-wheel dist docs/_build
