# Two commands matter to a new user: `make up` and `make test`. `make` alone lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
# Everything that decides what is installed. A stamp older than one of these installs again.
WANTED := $(wildcard pyproject.toml clients/python/pyproject.toml constraints.txt)
RUN := --editable . --editable 'clients/python[sealed]'
DEV := --editable '.[dev]' --editable 'clients/python[sealed]'
FUZZ := --editable '.[dev,fuzz]' --editable 'clients/python[sealed]'
ARGS ?=
WORKERS ?= 2
# The JavaScript client: node comes with the Python environment, so that nothing else need be installed before.
JS := clients/js
NPM := PATH="$(CURDIR)/$(BIN):$$PATH" npm --prefix $(JS) --loglevel=error

.DEFAULT_GOAL := help
.PHONY: help up test test-js test-browser check fmt size sim mutations bench bench-quick fuzz chaos clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

up: $(VENV)/installed-run ## install, then run everything on this machine (ARGS="--port 0" passes options on)
	$(BIN)/tidewire up $(ARGS)

test: $(VENV)/installed-dev $(if $(ARGS),,test-js) ## install what the tests need, then pass them all (ARGS="tests/replay -x" narrows)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(ARGS)

test-js: $(VENV)/installed-dev $(JS)/node_modules/installed ## pass the tests of the JavaScript client alone
	$(NPM) test

test-browser: $(VENV)/installed-dev $(JS)/node_modules/installed ## try the page in Chromium (Debian's package chromium)
	$(NPM) run test-browser

size: $(VENV)/installed-dev $(JS)/node_modules/installed ## print the size of the JavaScript client, and check it
	$(NPM) run size

check: $(VENV)/installed-dev $(JS)/node_modules/installed ## lint, formatting, types and the floors of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy clients/python/tidewire_client examples
	$(BIN)/lint-imports
	$(NPM) run check
	$(NPM) run size

fmt: $(VENV)/installed-dev $(JS)/node_modules/installed ## format, and mend what lint can mend
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	$(NPM) run fmt

sim: $(VENV)/installed-dev ## simulate worlds by random seeds, ten minutes (ARGS="--for 60", ARGS="--seed 7 --trace")
	$(BIN)/python -m tests.sim $(or $(ARGS),--for 600)

mutations: $(VENV)/installed-dev ## plant bugs by hand in a copy, one at a time: the simulation or a test must catch each (half an hour)
	$(BIN)/python -m tests.sim.mutations $(ARGS)

bench: $(VENV)/installed-dev ## measure delivery beside its floor and its rivals, print verdicts and tables (45 minutes; ARGS="--write" keeps them)
	$(BIN)/python -m bench $(ARGS)

bench-quick: $(VENV)/installed-dev ## the same, small, in under two minutes: fails when a ratio is far off
	$(BIN)/python -m bench --quick $(ARGS)

fuzz: $(VENV)/installed-fuzz ## try what strangers may send, a minute a decoder (ARGS="--seconds 20 --target token" narrows)
	$(BIN)/python -m tests.fuzz $(ARGS)

chaos: $(VENV)/installed-dev ## faults on real processes for ten minutes: nothing may be lost (ARGS="--seconds 60 --seed 2")
	$(BIN)/python -m tests.chaos $(ARGS)

clean: ## remove the environment and everything built; the state folder .tidewire/ is kept
	rm -rf $(VENV) $(JS)/node_modules $(JS)/types build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than 3.11: run make PYTHON=python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
		|| { echo "$(PYTHON) cannot make environments: apt-get install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-run: $(WANTED) | $(BIN)/python
	$(PIP) $(RUN)
	@touch $@

# The tests need what a run needs and more, so that `make up` after `make test` installs nothing.
$(VENV)/installed-dev: $(WANTED) | $(BIN)/python
	$(PIP) $(DEV)
	@touch $(VENV)/installed-run $@

$(VENV)/installed-fuzz: $(WANTED) | $(BIN)/python
	$(PIP) $(FUZZ)
	@touch $(VENV)/installed-run $(VENV)/installed-dev $@

$(JS)/node_modules/installed: $(JS)/package.json | $(VENV)/installed-dev
	$(NPM) install --no-package-lock --ignore-scripts --no-audit --no-fund
	@touch $@
