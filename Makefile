SHELL := /bin/bash
# The commands of the house. `make` alone lists them.
CACHE := $(or $(MATRIXHUB_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/matrixhub)
UV_VERSION := $(shell sed -nE 's/^UV_VERSION = "(.*)".*/\1/p' dev/stand/recipes.py)
UV := $(CACHE)/uv-$(UV_VERSION)/bin/uv
BIN := .venv/bin
STAND := python3 dev/stand
# A company's own authority is in the system's store, not in uv's.
export UV_SYSTEM_CERTS := 1

.PHONY: help demo test e2e check form types contracts generated up down bench format generate lock
help: ## what can be made
	@grep -hE '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 12

demo: ## everything, from nothing to three Ready Tenants on a real cluster; leaves it running
	@$(STAND) preflight
	@$(MAKE) --no-print-directory .venv/ready
	@$(BIN)/python dev/demo

test: ## everything that CI runs
	@$(STAND) preflight
	@$(MAKE) --no-print-directory check
	@$(STAND) build
	@$(BIN)/python dev/suites.py

e2e: .venv/ready ## the proof alone: the chart installed, every part hurt while events flow, nothing lost; ends a demo
	@$(STAND) preflight
	@$(STAND) up
	@$(BIN)/pytest -q -s -p no:cacheprovider tests/proof

check: .venv/ready ## format, lint, types, import contracts, unit tests, generated files; under a minute
	@$(MAKE) --no-print-directory --jobs 2 --output-sync form types contracts generated
	@$(BIN)/pytest -q -n auto tests/unit

form:
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .

types:
	@$(BIN)/mypy

contracts:
	@$(BIN)/lint-imports > .venv/imports.log || { cat .venv/imports.log; exit 1; }

generated:
	@$(BIN)/python dev/crds.py --check
	@$(BIN)/python dev/reference.py --check

up: ## the stand alone: a real Kubernetes and real backends
	@$(STAND) up

down: ## ends the demo and the stand, and leaves nothing behind
	@$(STAND) down

bench: .venv/ready ## the benchmarks: one table, and .stand/bench.json; ends the demo's operator
	@$(STAND) up
	@$(BIN)/python dev/bench

format: .venv/ready ## puts the code in its form
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

generate: .venv/ready ## writes what is generated from the models and from the chart
	@$(BIN)/python dev/crds.py
	@$(BIN)/python dev/reference.py
	@$(BIN)/python dev/chart.py

lock: $(UV) ## resolves the dependencies anew
	@$(UV) pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-annotate \
	  --group dev pyproject.toml -o requirements.lock --custom-compile-command 'make lock'

$(UV):
	@$(STAND) build uv

.venv/ready: $(UV) requirements.lock pyproject.toml
	@echo "Installing the Python packages of requirements.lock"
	@[ -x $(BIN)/python ] || $(UV) venv --quiet --python 3.11 .venv
	@$(UV) pip sync --quiet --require-hashes requirements.lock
	@$(UV) pip install --quiet --no-deps --editable .
	@touch $@
