# make demo     a system on this machine, with sample photographs and their worklist
# make help     everything else

.DEFAULT_GOAL := help
.PHONY: help demo up dev test test-fast faults coverage lint format migration architecture bench clean
.DELETE_ON_ERROR:

# The first supported Python that can make virtual environments.
SUPPORTED := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	if $$name -c '$(SUPPORTED)' 2>/dev/null; then echo $$name; break; fi; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SOURCES := pyproject.toml constraints.txt

# Stamps: what is installed is installed again only when these files change.
RUNTIME := $(VENV)/.runtime
DEVELOPMENT := $(VENV)/.development

help: ## Show the targets.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(RUNTIME) ## Show what happens to photographs; ONCE=1 stops afterwards, IMAGES=folder takes yours.
	@$(BIN)/dermtriage demo $(if $(ONCE),--once) $(if $(IMAGES),"$(IMAGES)")

up: $(RUNTIME) ## Run the system and keep its data in ./data, or in DATA=folder.
	@$(BIN)/dermtriage up $(if $(DATA),--data-dir "$(DATA)") $(if $(PORT),--port $(PORT))

dev: $(DEVELOPMENT) ## Run the system with samples and accounts; API and worker restart when code changes.
	@$(BIN)/dermtriage dev

test: $(DEVELOPMENT) ## Run all tests; ARGS='-k name' chooses. Installs a browser if none is found.
	@$(BIN)/python -m tests.browser.chromium
	@$(BIN)/pytest --numprocesses 2 --dist loadscope $(ARGS)

test-fast: $(DEVELOPMENT) ## Run the unit tests that start, train and draw nothing, in 30 s; ARGS as above.
	@$(BIN)/pytest --numprocesses 2 tests/unit -m 'not slow' $(ARGS)

faults: $(DEVELOPMENT) ## Break parts of a running system in a random order, or in that of SEED=n, for SECONDS=n.
	@FAULTS_SEED=$(or $(SEED),$$(od -An -N2 -tu2 /dev/urandom)) FAULTS_SECONDS=$(or $(SECONDS),120) \
		$(BIN)/pytest --capture no tests/faults

coverage: $(DEVELOPMENT) ## Measure branch coverage of the domain; below 90 % it fails. Reports: build/coverage.
	@mkdir -p build/coverage
	@$(BIN)/coverage erase
	@$(BIN)/pytest --numprocesses 2 --dist loadscope tests/unit tests/integration -m 'not slow' \
		--cov --cov-report=html
	@$(BIN)/coverage report --fail-under=90 >build/coverage/report.txt; \
		status=$$?; cat build/coverage/report.txt; exit $$status

lint: $(DEVELOPMENT) ## Check style, types and the import contracts.
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(DEVELOPMENT) ## Format the code, and fix what ruff can fix safely.
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

migration: $(DEVELOPMENT) ## Write a migration from the models: NAME='add phone to clinics'.
	@$(BIN)/python -m scripts.new_migration "$(NAME)"
	@$(BIN)/ruff format --quiet migrations/versions

architecture: $(DEVELOPMENT) ## Draw the module diagram of docs/architecture.md from the imports.
	@$(BIN)/python -m scripts.module_diagram

bench: $(DEVELOPMENT) ## Measure everything, print tables and write bench/RESULTS.md.
	@$(BIN)/python -m bench

clean: ## Remove the virtual environment and caches; data stays.
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .pytest_cache .hypothesis build

$(BIN)/python:
	@$(if $(PYTHON),,$(error No usable Python was found: install Python 3.11, 3.12 or 3.13 with venv))
	@echo "Making a virtual environment in $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

$(RUNTIME): $(SOURCES) | $(BIN)/python
	@echo "Installing dermtriage; the first time this takes some minutes"
	@$(PIP) --editable '.[api,worker,embedded]'
	@touch $@

$(DEVELOPMENT): $(SOURCES) | $(BIN)/python
	@echo "Installing dermtriage and its development tools; the first time this takes some minutes"
	@$(PIP) --editable '.[dev]'
	@touch $@ $(RUNTIME)
