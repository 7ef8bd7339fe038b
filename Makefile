# make demo   what onnxfp does, on the models of this repository
# make test   lint, types and the whole test suite
#
# Each sets itself up: a virtual environment in .venv with everything installed. On Linux the CPU build of torch is
# taken where one is at hand, since nothing here needs a GPU.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint unit audit-install models benchmark-prior clean

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $(READY)

demo: $(READY)
	$(BIN)/python models/demo.py

test: lint unit

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: $(READY)
	$(BIN)/pytest

models: $(READY)
	$(BIN)/python -m pip install --quiet --group models
	$(BIN)/python models/build.py

benchmark-prior: $(READY)
	$(BIN)/python -m pip install --quiet --group models
	$(BIN)/python benchmarks/prior.py

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache demo
