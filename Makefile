# One door for people and CI. `make help` lists what there is.
SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
# Where keys and database are: told to egret only if told here. An installation in ./data, from before, is kept.
DATA ?= $(if $(wildcard data/egret.db),data)
CONFIG ?=
PYTEST_ARGS ?=

help: ## list the commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Two stamps: what runs needs the runtime lock only, so a first `make run` does not install test tools.
$(VENV)/runtime.stamp: requirements/build.lock requirements/runtime.lock pyproject.toml
	@test -x $(BIN)/python || { python=$$(tools/find-python) && "$$python" -m venv $(VENV); }
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements/build.lock -r requirements/runtime.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.lock $(VENV)/runtime.stamp
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.lock
	@touch $@

# What the test of the wheel installs from, without a network. pip has most of it in its cache by now.
$(VENV)/wheelhouse.stamp: requirements/runtime.lock | $(VENV)/runtime.stamp
	rm -rf $(VENV)/wheelhouse
	$(BIN)/python -m pip download -q --disable-pip-version-check --no-deps --require-hashes -d $(VENV)/wheelhouse -r requirements/runtime.lock
	@touch $@

setup: $(VENV)/runtime.stamp ## make .venv with what running needs (leaves .venv/bin/egret)

setup-dev: $(VENV)/dev.stamp $(VENV)/wheelhouse.stamp ## the same, with test and check tools

run: setup ## start everything embedded: store, dashboard, forward proxy, gateway (DATA=dir, CONFIG=file)
	@test -f "$(or $(DATA),$${XDG_DATA_HOME:-$$HOME/.local/share}/egret/data)/egret.db" || { \
	  key=$$($(BIN)/egret init $(DATA:%=--data %)) && \
	  printf 'egret: this is the owner key, shown this once; keep it: egret login, or EGRET_API_KEY\n%s\n' "$$key" >&2; }
	@exec $(BIN)/egret serve $(DATA:%=--data %) $(if $(CONFIG),--config $(CONFIG))

demo: setup ## a self-contained round trip on loopback, explained as it runs
	@$(BIN)/egret demo

test: setup-dev ## all tests; installs PostgreSQL, Chromium and Node when it may
	@tools/system-parts
	@# Once: where PYTHONDONTWRITEBYTECODE is set, each program that a test starts would compile them for itself.
	@$(BIN)/python -m compileall -q proxy store egret
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

check: setup-dev ## ruff, mypy, import rules, docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: setup-dev ## the performance table (about ten minutes)
	$(BIN)/python -m benchmarks

bench-more: setup-dev ## the smaller measurements: memory, latency, start-up and others
	$(BIN)/python -m benchmarks more

bench-quick: setup-dev ## the same in about a minute, fewer loads (build/bench-quick)
	$(BIN)/python -m benchmarks --quick

fuzz: setup-dev ## fuzz grammar, rewriters and scrubber for a bounded time
	$(BIN)/python tests/fuzz/run.py

docs: setup-dev ## write the pages that are made from the sources
	$(BIN)/python tools/docs

COMPILE := uv pip compile pyproject.toml --extra server --extra aws --extra oidc --extra otlp --group engine --override requirements/overrides.txt --python-version 3.12 --universal \
	--generate-hashes --no-header --no-annotate -q

lock: ## resolve requirements/*.lock anew (needs uv)
	$(COMPILE) -o requirements/runtime.lock
	uv pip compile --group build --python-version 3.12 --universal --generate-hashes --no-header --no-annotate -q -o requirements/build.lock
	$(COMPILE) --group dev -c requirements/runtime.lock -c requirements/build.lock -o requirements/dev.lock

clean: ## remove .venv and caches (never DATA)
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache

.PHONY: help setup setup-dev run demo test check bench bench-more bench-quick fuzz docs lock clean
