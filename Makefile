# `make demo` and `make test` are all that a newcomer needs: each installs what is missing.
.DEFAULT_GOAL := help
PYTHON ?= python3
STORE ?= demo-store
BIN := .venv/bin

help:  ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

demo: .venv/runtime  ## Train two small models, record and measure them in ./demo-store (STORE=DIR)
	$(BIN)/negspace demo --store $(STORE)

browse: .venv/browser  ## Look through a store in the terminal (STORE=DIR)
	$(BIN)/negspace browse --store $(STORE)

test: .venv/dev  ## Run the tests
	$(BIN)/python -m pytest -n auto

check: lint docs-check  ## All that CI runs: ruff, mypy, import-linter, alembic check, docs, tests
	NEGSPACE_TEST_KILLS=20 $(MAKE) test

bench: .venv/bench  ## Measure every figure of docs/performance.md (ONLY=disk,...), into build/
	$(BIN)/python -m benchmarks --only "$(ONLY)"

lint: .venv/dev  ## ruff, mypy strict, import-linter, alembic check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python alembic/check.py

format: .venv/dev  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: .venv/dev  ## Write the generated pages of docs/
	$(BIN)/python docs/generate.py

screens: .venv/dev  ## Draw the README's pictures of the browser (STORE=DIR, of make demo)
	$(BIN)/python docs/screens.py $(STORE)

docs-check: .venv/dev  ## Check that the generated pages of docs/ are up to date
	$(BIN)/python docs/generate.py --check

clean:  ## Remove the environment, caches and the demo's store
	rm -rf .venv $(STORE) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/runtime: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "negspace needs Python 3.11 or newer; say which with make PYTHON=python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

.venv/dev: .venv/runtime
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

.venv/browser: .venv/runtime
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[browser]'
	touch $@

.venv/bench: .venv/browser
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[bench]' \
	  || echo "Without zarrs and tensorstore: their lines will say so."
	touch $@

.PHONY: help demo browse test bench check lint format docs screens docs-check clean
