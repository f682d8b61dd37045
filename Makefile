# What can be done here; `make` alone prints it. Everything is installed into .venv and the user's cache, nothing by hand.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.synced
# Two workers for two cores: each runs a control plane and a Vault of its own.
JOBS ?= 2
PYTEST := $(PY) -m pytest

.PHONY: help
help: ## This list
	@if [ -t 1 ]; then b=$$'\e[1m'; n=$$'\e[0m'; fi; \
	awk -v b="$$b" -v n="$$n" 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %s%-18s%s %s\n", b, $$1, n, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml uv.lock dev/bootstrap
	@dev/bootstrap $(VENV)
	@touch $@

.PHONY: install
install: $(STAMP) ## Python packages, into .venv

.PHONY: demo
demo: $(STAMP) ## Start everything, apply the quickstart, show what came out, rotate a password
	@$(PY) -m dev demo

.PHONY: up
up: $(STAMP) ## Start etcd, the API server, Vault and the operator on this machine
	@$(PY) -m dev up

.PHONY: down
down: $(STAMP) ## End what `make up` started, and its data
	@$(PY) -m dev down

.PHONY: status
status: $(STAMP) ## What runs, and where the logs are
	@$(PY) -m dev status

.PHONY: build
build: $(STAMP) ## Find or build etcd, kube-apiserver, kubectl and vault
	@$(PY) -m dev build

.PHONY: crds
crds: $(STAMP) ## Generate crds/ from the models
	@$(PY) -m jetbridge.api.crd --out crds

.PHONY: format
format: $(STAMP) ## Format the code
	@$(VENV)/bin/ruff check --fix-only --quiet . ; $(VENV)/bin/ruff format --quiet .

.PHONY: check
check: $(STAMP) ## Lint, format, types, layers, generated files
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) -m jetbridge.api.crd --out crds --check

.PHONY: test-unit
test-unit: $(STAMP) ## Unit tests: no network, in seconds
	$(PYTEST) tests/unit tests/contract -m "not contract" -n $(JOBS)

.PHONY: test-contract
test-contract: build ## The fakes and the real servers, by the same cases
	$(PYTEST) tests/contract -n $(JOBS)

.PHONY: test-integration
test-integration: build ## The real operator on a real API server and Vault
	$(PYTEST) tests/integration -n $(JOBS)

.PHONY: test-airflow
test-airflow: $(STAMP) ## Real Airflow 2.11 and 3.3 read what is rendered
	$(PY) -m tests.airflow.environments
	$(PYTEST) tests/airflow -n $(JOBS)

.PHONY: test
test: build ## Every test that needs no container engine
	$(PY) -m tests.airflow.environments
	$(PYTEST) -n $(JOBS) --dist loadscope

.PHONY: bench
bench: build ## Time from a change to the rendered Secret, beside a bare client
	$(PY) -m tests.bench

.PHONY: clean
clean: ## Remove caches of the tools; .venv and the built servers stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
