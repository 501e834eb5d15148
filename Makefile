# One environment, .venv, serves everything. A stamp file per folder and lock says what it holds, so that a second run
# starts at once; a moved folder or a changed lock installs again.

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --quiet --quiet --disable-pip-version-check --no-input
WORKS := import sys; sys.exit(sys.version_info < (3, 11))
PLACE := $(shell printf '%s' '$(CURDIR)' | cksum | cut -d ' ' -f 1)
CREATED := $(VENV)/.created-$(PLACE)
RUN := $(VENV)/.run-$(PLACE)
TEST := $(VENV)/.test-$(PLACE)
LOCK := $(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header

# The interpreter that makes the environment: the newest that runs, for a name on the PATH may be a version manager's
# shim without a Python behind it.
PYTHON ?=

.PHONY: help run test lint types wheel lock bench mutants agents clean

help:
	@echo 'make run    install what is needed and serve on 127.0.0.1:8000 (flags: make run ARGS="--demo --port 8001")'
	@echo 'make test   lint, type check and test everything (flags for pytest: make test ARGS="-k sse")'
	@echo 'make lint | types | bench | mutants | agents | wheel | lock | clean'

# exec: signals reach the server itself, and make has nothing of its own to say when it has ended well.
run: $(RUN)
	@exec $(VENV)/bin/rotator serve $(ARGS)

test: lint types
	@$(PY) -m pytest -q $(ARGS)

lint: $(TEST)
	@$(PY) -m ruff check .

types: $(TEST)
	@$(PY) -m mypy

bench: $(TEST)
	@$(PY) -m benchmarks $(ARGS)

# Changes the code in copies and counts what the tests notice; minutes (flags: make mutants ARGS="--only protocols/chat").
mutants: $(TEST)
	@$(PY) -m tests.mutants $(ARGS)

# Installs real clients into a folder outside the tree and runs them against the server; minutes (flags: make agents
# ARGS="claude-code", ARGS=--list).
agents: $(TEST)
	@$(PY) -m tests.agents $(ARGS)

# Through the sdist: it leaves out what git ignores, such as private plug-ins in providers/.
wheel: $(TEST)
	@$(PY) -m build --no-isolation --outdir dist . >/dev/null
	@ls dist/*.whl

# UPGRADE=--upgrade takes newer releases; without it only what pyproject.toml demands changes.
lock: $(CREATED)
	@$(PY) -m uv --version >/dev/null 2>&1 || $(PIP) install 'uv>=0.9,<1'
	@echo 'locking requirements.lock and requirements-test.lock ...'
	@echo hatchling | $(LOCK) $(UPGRADE) --output-file requirements.lock pyproject.toml - >/dev/null
	@echo hatchling | $(LOCK) $(UPGRADE) --constraints requirements.lock --extra test \
		--output-file requirements-test.lock pyproject.toml - >/dev/null

clean:
	@rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(CREATED):
	@if ! { $(PY) -c '$(WORKS)' && $(PY) -m pip --version; } >/dev/null 2>&1; then \
		for candidate in $(or $(PYTHON),python3.13 python3.12 python3.11 python3); do \
			if $$candidate -c '$(WORKS)' >/dev/null 2>&1; then found=$$candidate; break; fi; \
		done; \
		if [ -z "$$found" ]; then \
			version=$$($(or $(PYTHON),python3) --version 2>/dev/null); \
			echo "Rotator needs Python 3.11 or newer; $(or $(PYTHON),python3) is $${version:-missing or broken}." \
				'Name one: make run PYTHON=/path/to/python3.12' >&2; \
			exit 1; \
		fi; \
		echo "creating $(VENV) with $$($$found --version) ..."; \
		$$found -m venv --clear $(VENV) || { echo 'python -m venv failed (Debian: apt install python3-venv)' >&2; exit 1; }; \
	fi
	@touch $@

$(RUN): requirements.lock pyproject.toml | $(CREATED)
	@echo "installing $$(grep -c '==' $<) packages from $< ..."
	@$(PIP) install --require-hashes -r $<
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(TEST): requirements-test.lock requirements.lock pyproject.toml | $(CREATED)
	@echo "installing $$(grep -c '==' $<) packages from $< ..."
	@$(PIP) install --require-hashes -r $<
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $(RUN) $@
