# The README's two commands are `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Extra options for installing torch, such as --index-url with PyTorch's index of CPU builds (README, "The two commands").
TORCH_OPTIONS ?=
BUDGET ?= 5m
DEMO := scenarios/ctr-ranking.yaml scenarios/search-ranking.yaml

ENGINES := jax,tensorflow,tvm,litert,executorch,mnn

.PHONY: demo test engines conformance quality lint coverage benchmarks clean
.DEFAULT_GOAL := demo

.venv: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("bakeoff needs Python 3.11 or newer, $(PYTHON) is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install $(TORCH_OPTIONS) --constraint constraints.txt torch
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: .venv
	$(BIN)/bakeoff prepare $(DEMO)
	$(BIN)/bakeoff run $(DEMO) --budget $(BUDGET)

# What measures time runs after the rest and alone; the rest, three at a time on two cores, for much of it waits.
test: .venv
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile -m 'not alone and not quality and not engines'
	$(BIN)/python -m pytest -m 'alone and not quality and not engines'

# Every engine that runs on a CPU, into the same environment. One of LiteRT's requirements holds typing-extensions below what
# TVM needs and works with newer ones all the same: pyproject.toml overrides it, which pip cannot, so that uv installs them.
engines: $(VENV)/.engines

$(VENV)/.engines: $(VENV)/.ready
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[dev,$(ENGINES)]'
	@touch $@

conformance: engines
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m 'engines and not alone'
	$(BIN)/python -m pytest -m 'engines and alone'

quality: .venv
	$(BIN)/python -m pytest -m quality

lint: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MYPYPATH=tests/benchmarks:tests $(BIN)/mypy --explicit-package-bases --exclude /test_ tests/benchmarks
	$(BIN)/lint-imports

coverage: .venv
	$(BIN)/python -m pytest -m '' --cov --cov-report=
	$(BIN)/coverage report --fail-under=90

benchmarks: .venv
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
