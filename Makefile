# One target for each task; CI runs the same targets.
#
#   make run     set up, generate the sample inventory, run the whole graph, print a summary
#   make dev     set up, open the Dagster UI on http://127.0.0.1:3000
#   make test    set up, run the tests
#   make lint types    style, layers and types         make format    format the code
#   make dvc     set up DVC, in an environment of its own (.venv-dvc)
#   make bench   run the benchmarks                    make lock      resolve the three locks again
#   make wheel   build the wheel into dist/
#   make mutants mutation tests of the core modules, minutes each; not in CI; ARGS="--module gate" runs one
#   make drills  long runs: 100,000 random requests, load through a rollback, rolling origins; minutes; not in CI
#   make schema  generate docs/schema.md, the columns of the dbt sources and the listing of the features
#   make rules   write configs/prometheus_rules.yaml, the alerts of Prometheus
#   make clean   remove the environments and caches; outputs in var/ stay

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3 || echo python3.11)
VENV := .venv
BIN := $(VENV)/bin
# `make run` and `make dev` install requirements.lock; tests and tools add the rest of requirements-dev.lock.
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
DVC_VENV := .venv-dvc
READY_DVC := $(DVC_VENV)/.ready
MANIFEST := dbt_project/target/manifest.json
UV_VERSION := 0.13.9

export DO_NOT_TRACK := 1
export ORT_DISABLE_TELEMETRY := 1

.PHONY: setup setup-dev dvc sample run dev test lint types format bench mutants drills schema rules lock wheel clean

setup: $(READY) $(MANIFEST)

setup-dev: setup $(READY_DEV)

dvc: $(READY_DVC)

$(READY): requirements.lock pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 13) else f"Python 3.11 or 3.12 is needed, this is {v.major}.{v.minor}. Name another: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --python $(BIN)/python --quiet --compile-bytecode -r requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(READY_DEV): requirements-dev.lock $(READY)
	$(BIN)/uv pip install --python $(BIN)/python --quiet --compile-bytecode -r requirements-dev.lock
	@touch $@

# DVC and Dagster cannot share an environment (DVC requires antlr 4.9): bridge_assets calls `dvc` as a program.
$(READY_DVC): requirements-dvc.lock $(READY)
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(DVC_VENV)
	$(BIN)/uv pip install --python $(DVC_VENV)/bin/python --quiet --compile-bytecode -r requirements-dvc.lock
	ln -sf ../../$(DVC_VENV)/bin/dvc $(BIN)/dvc
	@touch $@

$(MANIFEST): $(READY) $(shell find dbt_project -path dbt_project/target -prune -o -path dbt_project/logs -prune -o -type f -print)
	$(BIN)/dbt --quiet parse --project-dir dbt_project --profiles-dir dbt_project

sample: setup
	$(BIN)/bridge-assets sample

run: setup
	$(BIN)/bridge-assets run

dev: setup
	$(BIN)/bridge-assets dev

test: setup-dev $(READY_DVC)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup-dev
	$(BIN)/pyright

format: setup-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup-dev
	$(BIN)/python -m benchmarks

mutants: setup-dev
	$(BIN)/python -m benchmarks.mutants $(ARGS)

drills: setup-dev
	BRIDGE_ASSETS_DRILLS=1 $(BIN)/python -m pytest -p no:xdist -s bridge_assets_tests/serve/test_drills.py bridge_assets_tests/serve/description bridge_assets_tests/deployment/kubernetes/test_kills.py bridge_assets_tests/real/test_massachusetts.py

schema: setup
	$(BIN)/python -m bridge_assets.nbi.schema_page docs/schema.md dbt_project/models/sources.yml
	$(BIN)/python -m bridge_assets.data.features.listing

rules: setup
	$(BIN)/python -m bridge_assets.alerting.prometheus_alerts configs/prometheus_rules.yaml

LOCK := $(BIN)/uv pip compile --python-version 3.11 --universal --no-annotate --no-header
lock: $(READY)
	$(LOCK) pyproject.toml --extra dev --extra aws --extra azure --extra gcp --extra k8s --extra excel --extra ray --extra gradio --extra dashboard --output-file requirements-dev.lock
	$(LOCK) pyproject.toml --constraint requirements-dev.lock --output-file requirements.lock
	$(LOCK) --group dvc --output-file requirements-dvc.lock

# Without build/: setuptools would pack the modules of an earlier build that have been removed since.
wheel: setup-dev
	rm -rf build
	$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir dist

clean:
	rm -rf $(VENV) $(DVC_VENV) build dist dbt_project/target dbt_project/logs .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find bridge_assets bridge_assets_tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
