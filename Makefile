# `make help` lists the targets. ARGS="…" is handed on: make demo ARGS="--seconds 20 --json"
# PYTHON=python3.12 chooses the interpreter of the environment.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

VENV := .venv
PYTHON ?=
ARGS ?=
BUT ?=
BIN := $(VENV)/bin
EXTRAS := demo,test
PATHS := edge_agent tools tests

.PHONY: wheel deb vm-test help setup demo test parity test-pythons system-packages lint types docs docs-write bench bench-generation soak train clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | column -t -s '|'

setup: ## Create .venv with edge-agent in it (again only after pyproject.toml changed)
	@tools/setup.sh $(VENV) $(EXTRAS) $(PYTHON)

demo: setup ## Show the main job live: broker, agent, simulated site, terminal view
	@exec $(BIN)/edge-agent demo $(ARGS)

system-packages: ## Install mosquitto, strace, openssl, lintian and the like where missing
	@tools/system_packages.sh

test: EXTRAS := demo,test,factory-test
test: setup system-packages ## Run every test, real brokers and kill tests included
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

parity: EXTRAS := demo,test,factory-test
parity: setup ## Compare Gemma 3 270M's shape with transformers (random weights; minutes, 8 GB of memory)
	@$(BIN)/python -m pytest -m parity tests/factory $(ARGS)

test-pythons: ## Run the fast tests on every supported Python that is found (BUT=3.11 leaves one out)
	@tools/pythons.sh | grep -v "^$(BUT) " | xargs -P 3 -L 1 tools/test_python.sh "$(ARGS)"

lint: setup ## ruff: rules and format
	@$(BIN)/ruff check $(PATHS)
	@$(BIN)/ruff format --check $(PATHS)

types: setup ## mypy strict, as each supported Python sees the code
	@printf '%s\n' 3.10 3.11 3.12 3.13 | xargs -P 2 -I VERSION $(BIN)/mypy --python-version VERSION

docs: setup ## Compare the generated parts of the documents with the program
	@$(BIN)/python -m tools.docs --check

docs-write: setup ## Renew the generated parts of the documents
	@$(BIN)/python -m tools.docs

wheel: setup ## Build the wheel, default bundle included, into dist/
	@$(BIN)/python -m tools.debian wheel $(ARGS)

deb: setup ## Build Debian packages into dist/ (ARGS="--python 3.11 3.13 --architecture arm64")
	@$(BIN)/python -m tools.debian deb $(ARGS)

vm-test: setup ## As root: try the arm64 package in an emulated machine; renew docs/arm.md
	@$(BIN)/python -m tools.vm $(ARGS)

bench: setup system-packages ## Measure throughput, latency, memory, start and idle; renew docs/benchmarks.md
	@$(BIN)/python -m tools.bench $(ARGS)

bench-generation: EXTRAS := demo,test,factory-test
bench-generation: setup ## Measure generation at Gemma 3 270M's shape beside llama.cpp (docs/benchmarks.md)
	@$(BIN)/python -m tools.bench.generation $(ARGS)

soak: setup system-packages ## 1,000 kills, TCP cuts, stopped and restarted brokers; renew docs/reliability.md
	@$(BIN)/python -m tests.soak $(ARGS)

train: ## Train models/gateway-default again from tools/corpus
	@tools/setup.sh $(VENV) $(EXTRAS),train $(PYTHON)
	@$(BIN)/python -m tools train $(ARGS)

clean: ## Remove environments, caches and build products
	@rm -rf .venv .venv-3.* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find $(PATHS) -name __pycache__ -type d -prune -exec rm -rf {} +
