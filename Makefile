# Each target makes the environment that it needs in .venv (see .ci/environment). `make` alone lists the targets.
# PYTHON names the interpreter to build it with; WORKERS how many processes run the tests.

BIN := .venv/bin
WORKERS ?= 2
NEEDS := pyproject.toml constraints.txt .ci/environment
export PYTHON

.DEFAULT_GOAL := help
.PHONY: run test lint faults bench lab clean help

run: .venv/.core .venv/.kernels  ## set up, run configs/market_risk.yaml on real prices and print where the report is
	$(BIN)/riskops run configs/market_risk.yaml

# One thread for each BLAS: the tests already use every core.
test: export OMP_NUM_THREADS = 1
test: export OPENBLAS_NUM_THREADS = 1
test: lint  ## everything that a change must pass: lint, types, tests, doctests and notebooks
	$(BIN)/python -m pytest -q -n $(WORKERS)

lint: .venv/.dev  ## ruff (rules and format) and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

faults: .venv/.dev .venv/.kernels  ## kill, fill, damage and interrupt real runs, and print what came of it
	$(BIN)/python -m tests.faults.run

bench: .venv/.core .venv/.kernels  ## time riskops against NumPy, dask.array and zarr on this machine
	$(BIN)/riskops bench

lab: .venv/.notebooks .venv/.kernels  ## open JupyterLab on the notebooks
	$(BIN)/jupyter lab notebooks

clean:  ## remove caches and build leftovers; .venv and runs stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find riskops tests pipelines notebooks -depth \( -name __pycache__ -o -name .ipynb_checkpoints \) -exec rm -rf {} +

help:  ## list the targets
	@awk -F ':.*  ## ' '/^[a-z]+:.*  ## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# numba's cache notices a change of a kernel's own file, but not of the scalar functions that were inlined into it.
.venv/.kernels: $(wildcard riskops/scalar/*.py riskops/rng/*.py riskops/reductions/*.py) | .venv/.core
	@find riskops -name '*.nb[ic]' -delete
	@touch $@

# Stamps: one for each set of packages, older than what it was made from when it has to be made again.
.venv/.core: $(NEEDS)
	@.ci/environment
	@touch $@

.venv/.dev: $(NEEDS)
	@.ci/environment dev
	@touch .venv/.core $@

.venv/.notebooks: $(NEEDS)
	@.ci/environment notebooks
	@touch .venv/.core $@
