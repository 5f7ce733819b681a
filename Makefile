# One target for each task; CI runs the same targets.
#
#   make run     set up, generate the sample inventory, run the whole graph, print a summary
#   make dev     set up, open the Dagster UI on http://127.0.0.1:3000
#   make test    set up, run the tests
#   make lint types    style, layers and types         make format    format the code
#   make bench   run the benchmarks                    make lock      resolve requirements.lock again
#   make wheel   build the wheel into dist/
#   make mutants mutation tests of the core modules, minutes each; not in CI; ARGS="--module gate" runs one
#   make schema  generate docs/schema.md and the columns of the dbt sources
#   make clean   remove the environment and caches; outputs in var/ stay

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
MANIFEST := dbt_project/target/manifest.json
UV_VERSION := 0.13.9

export DO_NOT_TRACK := 1
export ORT_DISABLE_TELEMETRY := 1

.PHONY: setup sample run dev test lint types format bench mutants schema lock wheel clean

setup: $(READY) $(MANIFEST)

$(READY): requirements.lock pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 13) else f"Python 3.11 or 3.12 is needed, this is {v.major}.{v.minor}. Name another: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --python $(BIN)/python --quiet --compile-bytecode -r requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(MANIFEST): $(READY) $(shell find dbt_project -path dbt_project/target -prune -o -path dbt_project/logs -prune -o -type f -print)
	$(BIN)/dbt --quiet parse --project-dir dbt_project --profiles-dir dbt_project

sample: setup
	$(BIN)/bridge-assets sample

run: setup
	$(BIN)/bridge-assets run

dev: setup
	$(BIN)/bridge-assets dev

test: setup
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup
	$(BIN)/pyright

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python -m benchmarks

mutants: setup
	$(BIN)/python -m benchmarks.mutants $(ARGS)

schema: setup
	$(BIN)/python -m bridge_assets.nbi.schema_page docs/schema.md dbt_project/models/sources.yml

lock: $(READY)
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra dvc --extra aws --extra azure --extra gcp --extra k8s --python-version 3.11 --universal --no-annotate --no-header --output-file requirements.lock

# Without build/: setuptools would pack the modules of an earlier build that have been removed since.
wheel: setup
	rm -rf build
	$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir dist

clean:
	rm -rf $(VENV) build dist dbt_project/target dbt_project/logs .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find bridge_assets bridge_assets_tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
