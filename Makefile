# Two commands do everything: `make quickstart` and `make test`. The rest are their parts.
#
#   make install [TORCH=cpu|cuda]   .venv with the tested versions; CUDA only where there is an NVIDIA GPU or by TORCH=cuda
#   make quickstart                 a sweep over methods on real data that needs no download, and its leaderboard
#   make test                       linter, types and every test but the thorough ones
#   make thorough                   tests that take minutes each, or many of a kind

VENV    := .venv
RESULTS := results/quickstart
SEEDS   := 0
TASKS   := rel-nycflights/plane-churn,rel-nycflights/plane-airport,rel-journey/household-churn
METHODS := constant,label_history,lightgbm_simple,xgboost,xgboost_dfs,gnn
SECONDS := 45
PARALLEL := -n logical --maxprocesses 8 --dist loadfile

BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip --disable-pip-version-check
HARNESS := $(BIN)/relbench-harness

PYTHON := $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

# -- which torch: the CPU build, unless there is an NVIDIA GPU or TORCH says so ------------------------------------------
ifeq ($(shell uname -s),Linux)
TORCH   ?= $(shell nvidia-smi >/dev/null 2>&1 && echo cuda || echo cpu)
else
TORCH   ?= plain
endif
TORCH_VERSION   := $(shell sed -n 's/^torch==\([0-9.]*\).*/\1/p' constraints.txt | head -n 1)
TORCH_CPU_INDEX := https://download.pytorch.org/whl/cpu
CONSTRAINTS     := $(VENV)/constraints.txt
INSTALL         := $(PIP) install --quiet --no-build-isolation --constraint $(CONSTRAINTS)

# -- PySpark brings Spark but no Java: without it the tests of Spark would only skip --------------------------------------
SPARK := $(if $(JAVA_HOME)$(shell command -v java),spark)
comma := ,
DEV   := $(VENV)/.installed-dev$(SPARK:%=-%)

.PHONY: help install quickstart test thorough clean
help:
	@sed -n 's/^#   //p' Makefile

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer with venv was found; install one first" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# One stamp for each choice of torch: another choice, or another pinned version, installs again.
$(VENV)/.torch-$(TORCH): constraints.txt | $(BIN)/python
	rm -f $(VENV)/.torch-*
ifeq ($(TORCH),cpu)
	cp constraints.txt $(CONSTRAINTS)
	$(INSTALL) setuptools
	$(PIP) install --quiet --no-deps "torch==$(TORCH_VERSION)+cpu" || \
	$(PIP) install --no-deps --index-url $(TORCH_CPU_INDEX) "torch==$(TORCH_VERSION)+cpu"
else
	sed 's/^torch==\([0-9.]*\).*/torch===\1/' constraints.txt | uniq > $(CONSTRAINTS)
	$(INSTALL) setuptools
endif
	touch $@

$(VENV)/.installed: pyproject.toml $(VENV)/.torch-$(TORCH)
	$(INSTALL) --editable ".[journey,nycflights]"
	touch $@

$(DEV): $(VENV)/.installed
	$(INSTALL) --editable ".[delta,dev,journey,mysql,nycflights,postgres$(SPARK:%=$(comma)%)]"
	touch $@

install: $(VENV)/.installed

# A run whose result is there is not made again, so a second quickstart goes on where the first one ended.
# A run that failed is on the leaderboard too, so that is printed in any case.
quickstart: $(VENV)/.installed
	$(HARNESS) run -m task=$(TASKS) method=$(METHODS) seed=$(SEEDS) regime=rolling budget.seconds=$(SECONDS) results_dir=$(RESULTS); \
	status=$$?; $(HARNESS) rank $(RESULTS) && exit $$status

test: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest $(PARALLEL)

# Audits of every method, every launcher under every signal, coverage of intervals: half an hour and more.
thorough: $(DEV)
	$(BIN)/pytest $(PARALLEL) -m thorough

clean:
	rm -rf $(VENV) build *.egg-info
