# What people type. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
JOBS ?= $(shell nproc)
HISTORIES ?= 100000
CLUSTER ?=

STAMP := $(VENV)/.installed

.PHONY: help check lint test test-unit test-api test-e2e test-envoy demo demo-down histories crash-matrix soak generate lock clean

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; found " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.13 …")'
	@echo "Installing what the project needs into $(VENV) (about a minute) …"
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --require-hashes --requirement requirements.lock
	@$(RUN) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP) ## Watch a healthy model promoted and two bad ones taken back, on a real cluster
	@$(RUN) -m demo up $(if $(CLUSTER),--cluster $(CLUSTER))

demo-down: $(STAMP) ## Remove everything that the demo made
	@$(RUN) -m demo down

check: lint ## Lint, types, import contracts, unit and property tests: no cluster, about a minute
	$(RUN) -m pytest -q -n $(JOBS) tests/unit tests/property

test: lint test-unit test-api test-e2e ## Everything that CI runs, the cheap parts first

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

test-unit: $(STAMP) ## Unit and property tests, 5,000 random histories
	MODELROLLOUT_HISTORIES=$${MODELROLLOUT_HISTORIES:-5000} $(RUN) -m pytest -q -n $(JOBS) tests/unit tests/property

test-api: $(STAMP) ## Tests against a real API server and a real Prometheus
	$(RUN) -m tests.cluster build
	$(RUN) -m tests.cluster up --flavor kwok
	$(RUN) -m pytest -q -n 4 --durations=10 tests/api tests/prometheus

test-e2e: $(STAMP) ## Tests with real pods, a real gateway and a real Prometheus, one after another
	$(RUN) -m tests.cluster up
	$(RUN) -m pytest -q --durations=10 --ignore=tests/e2e/envoy tests/e2e

test-envoy: $(STAMP) ## Tests on Envoy Gateway, which is built first (once, about 12 minutes)
	$(RUN) -m tests.cluster up --gateway envoy
	$(RUN) -m pytest -q --durations=10 tests/e2e/envoy

histories: $(STAMP) ## Many random histories of the decision core: make histories HISTORIES=100000
	MODELROLLOUT_HISTORIES=$(HISTORIES) $(RUN) -m pytest -q -n $(JOBS) tests/property

crash-matrix: $(STAMP) ## Kill the operator around each request of a promotion and a rollback; writes docs/crash-matrix.md
	$(RUN) -m tests.cluster up --flavor kwok
	$(RUN) -m tests.crash --write docs/crash-matrix.md

soak: $(STAMP) ## Half an hour of random faults over 50 rollouts: make soak SEED=42
	$(RUN) -m tests.cluster up --flavor kwok
	$(RUN) -m tests.soak $(if $(SEED),--seed $(SEED))

generate: $(STAMP) ## Make generated files again: CRDs, reference, chart README, CLI reference
	$(RUN) -m modelrollout.api.crd crds
	$(RUN) -m tools.chart
	$(RUN) -m tools.manifests
	$(RUN) -m tools.reference
	$(RUN) -m modelrollout.cli.reference > docs/cli.md

lock: $(STAMP) ## Resolve the newest dependencies into the lock file
	$(RUN) -m pip install --quiet uv
	$(VENV)/bin/uv pip compile --quiet --upgrade pyproject.toml --group dev --group example --generate-hashes --universal \
		--python-version 3.11 --no-emit-index-url --no-annotate --no-header --output-file requirements.lock

clean: ## Remove what was built in this folder; caches outside stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
