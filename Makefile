# Everything runs in .venv, which `make setup` builds from constraints.txt; nothing needs to be activated.
VENV := .venv
PYTHON ?= python3
PIP_FLAGS ?=
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo test test-slow check format clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e ".[dev,java]"
	touch $(READY)

demo: setup
	$(BIN)/radspark demo --out demo-out

test: setup
	$(BIN)/python -m pytest

test-slow: setup
	$(BIN)/python -m pytest -m slow --timeout 7200

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist
