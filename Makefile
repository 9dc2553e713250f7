# `make run` and `make test` set up what they need; called again, they install nothing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup run smoke test test-all coverage lint bench gpu-check leaderboard docs dist clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 12
	@echo
	@echo "  PYTHON=$(PYTHON)  VENV=$(VENV)  ARGS='…' (more overrides for run and smoke, options for gpu-check)"

setup: $(STAMP)  ## create the virtual environment from pyproject.toml and constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "unlearnable needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Use: make PYTHON=python3.11 …" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

run: setup  ## the sweep: three poisons, two radii, on the embedded digits
	$(BIN)/python run.py -m poison=em,ops,tap eps=0.01,0.05 $(ARGS)

smoke: setup  ## the whole path in seconds
	$(BIN)/python run.py experiment=smoke $(ARGS)

test: setup lint  ## ruff, mypy and the tests
	$(BIN)/python -m pytest

test-all: test  ## these, and what takes minutes: kills, full disks, processes, launchers, random input, wheel, site
	$(BIN)/python -m pytest -m slow -n 2

coverage: setup  ## the tests, and which lines they do not reach (of what runs in their own processes)
	$(BIN)/python -m pytest --cov --cov-report=term

lint: setup  ## ruff and mypy alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup  ## timings, as ratios within one run
	for file in $(filter-out benchmarks/gpu_check.py,$(wildcard benchmarks/[a-z]*.py)); do $(BIN)/python $$file || exit 1; done

gpu-check: setup  ## what jobs rely on, checked on this machine's GPU (or CPU): minutes, no data
	$(BIN)/python benchmarks/gpu_check.py $(ARGS)

leaderboard: setup  ## one page, leaderboard/index.html, from the records in leaderboard/records
	$(BIN)/python run.py leaderboard

docs: setup  ## the documentation as a site, build/site/index.html; opens from the disk
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

dist: setup  ## what is released: a wheel and a source distribution, checked
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

clean:  ## remove the caches of tools; outputs and the virtual environment stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache build src/*.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
