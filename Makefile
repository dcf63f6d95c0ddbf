# make demo     a system on this machine, sample photographs in, the worklist out
# make help     everything else

.DEFAULT_GOAL := help
.PHONY: help demo up test lint bench clean
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
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(RUNTIME) ## Show the whole way of photographs; ONCE=1 stops afterwards, IMAGES=folder takes yours.
	@$(BIN)/dermtriage demo $(if $(ONCE),--once) $(if $(IMAGES),"$(IMAGES)")

up: $(RUNTIME) ## Run the system and keep its data in ./data, or in DATA=folder.
	@$(BIN)/dermtriage up $(if $(DATA),--data-dir "$(DATA)") $(if $(PORT),--port $(PORT))

test: $(DEVELOPMENT) ## Run all tests; ARGS='-k name' chooses. Installs a browser if none is found.
	@$(BIN)/python -m tests.browser.chromium
	@$(BIN)/pytest --numprocesses 2 --dist loadscope $(ARGS)

lint: $(DEVELOPMENT) ## Check style, types and the walls between the packages.
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(DEVELOPMENT) ## Measure everything, print tables and write bench/RESULTS.md.
	@$(BIN)/python -m bench

clean: ## Remove the virtual environment and caches; data stays.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

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
