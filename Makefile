# snfpipe: each line below is one that a person could type.
#
# The virtual environment and all packages live in .venv; what they are is fixed, with checksums,
# in requirements/. `make PYTHON=python3.12 setup` takes another Python (3.11 or newer).

SHELL := /bin/bash
PYTHON := python3
BIN := .venv/bin
export PYTHON
export PYTHONNOUSERSITE := 1
# Where it is set, every start of every command would compile its modules anew.
unexport PYTHONDONTWRITEBYTECODE

# What is installed is known by stamps in .venv, named by the content of what they depend on (and,
# since a virtual environment cannot be moved, by its place): no clocks, and a no in milliseconds.
key = $(shell { pwd -P; cat /dev/null $(1); } | sha256sum | cut -c 1-16)
MADE := .venv/.made-$(call key,)
RUN_READY := .venv/.run-$(call key,pyproject.toml requirements/run.lock)
TEST_READY := .venv/.test-$(call key,pyproject.toml requirements/*)
# A Python that has gone (an upgrade of the system) leaves a virtual environment without one.
ifneq ($(shell test -x $(BIN)/python && echo there),there)
.PHONY: $(MADE)
endif

# Without --no-compile pip would compile every module of every package; Python compiles what is
# imported, when it first is.
INSTALL := $(BIN)/python -m pip --quiet --disable-pip-version-check install --no-compile

.PHONY: help setup run test soak audit bench docs lint clean

help:
	@echo 'make setup   install what is missing, and do nothing else'
	@echo 'make run     simulate a sample of nights, take them in, produce and audit them'
	@echo 'make test    check the style, then run all tests, on SQLite and a private PostgreSQL'
	@echo 'make soak    the tests again, with the long ones'
	@echo 'make audit   what is expected against the database and the archive'
	@echo 'make bench   all benchmarks; make bench BENCH=noop for benchmarks/noop.py'
	@echo 'make docs    check the examples and links of the documentation'
	@echo 'make lint    ruff, mypy, import-linter'
	@echo 'make clean   remove .venv and all caches; never work/, where the data are'

setup: $(RUN_READY)

$(MADE):
	@requirements/install_debian.sh run
	$(PYTHON) -m venv --clear .venv
	@touch $@

$(RUN_READY): $(MADE)
	$(INSTALL) --require-hashes --only-binary :all: -r requirements/run.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(TEST_READY): $(RUN_READY)
	@requirements/install_debian.sh test
	$(INSTALL) --require-hashes --only-binary :all: -r requirements/test.lock
	@touch $@

run: setup
	$(BIN)/snf simulate --preset sample --jobs $$(nproc)
	$(BIN)/snf ingest
	$(BIN)/doit
	$(BIN)/snf summary

test: lint
	$(BIN)/pytest -n 2 --dist worksteal

soak: $(TEST_READY)
	SNF_SOAK=1 $(BIN)/pytest -n 2 --dist worksteal

audit: setup
	$(BIN)/snf audit --page

BENCH := $(patsubst benchmarks/%.py,%,$(sort $(wildcard benchmarks/[a-z]*.py)))
bench: $(TEST_READY)
	@set -e; for name in $(BENCH); do $(BIN)/python -m "benchmarks.$$name"; done

docs: $(TEST_READY)
	$(BIN)/pytest -n 2 --dist worksteal tests/test_docs_examples.py

lint: $(TEST_READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path './work/*' -prune -exec rm -rf {} +
