# `make help` lists what there is. ARGS is passed on: make run ARGS="--port 9000", make test ARGS="-k timelines -x".

ENV   := .venv
BIN   := $(ENV)/bin
PIP   := $(BIN)/python -m pip --disable-pip-version-check
# Hashes are checked for everything that comes from outside; our own package is linked in place, built by the
# setuptools that the lock holds, so that nothing is fetched unchecked.
LINK  := $(PIP) install --quiet --no-deps --no-build-isolation --editable .
JOBS  ?= 2

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run engines test test-standard faults lint format bench catalogs screenshots lock clean FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(ENV)/run.stamp ## start a living demo network on http://127.0.0.1:8000
	@exec $(BIN)/rookery demo --live $(ARGS)

# What runs beside this program, on this machine, and the libraries that speak with it.
engines: $(ENV)/standard.stamp ## install PostgreSQL, Redis and HAProxy, for rookery cluster up
	@scripts/install-engines postgres redis haproxy

# Without wrk the smoke runs of the benchmarks are skipped, without Go the tests on a real S3 server, without Redis and PostgreSQL those
# on them, and without Chromium those of the pages in a browser, with the reason; on CI nothing is.
test: $(ENV)/dev.stamp ## run all tests
	@scripts/install-tools || [ "$$CI" != true ]
	@scripts/install-engines || [ "$$CI" != true ]
	@$(BIN)/pytest -n $(JOBS) --dist worksteal $(STANDARD:%=--ignore=%) $(ARGS)

# Clusters, whose parts are killed, one at a time, three beside each other, as they wait most of the time; then what people see, on
# PostgreSQL and Redis.
STANDARD := tests/standard tests/cluster
test-standard: export ROOKERY_TEST_HISTORIES ?= 2
test-standard: $(ENV)/dev.stamp ## run the tests of the standard profile
	@scripts/install-tools browser || [ "$$CI" != true ]
	@scripts/install-engines redis postgres haproxy || [ "$$CI" != true ]
	@$(BIN)/pytest -n 3 --dist loadfile $(STANDARD) $(ARGS)
	@ROOKERY_TEST_PROFILE=standard $(BIN)/pytest -n $(JOBS) --dist worksteal \
		tests/gateways/rest tests/erasing/test_answers.py tests/services/timelines/test_oracle.py \
		tests/browser/test_story.py tests/browser/test_live.py $(ARGS)

# A setting that is given stays as it is: make faults ROOKERY_FAULTS_ROUNDS=1000.
faults: export ROOKERY_FAULTS_ROUNDS ?= 100
faults: export ROOKERY_FAULT_ROUNDS ?= 20
faults: export ROOKERY_FAULT_JUMPS ?= 40
faults: export ROOKERY_FAULTS_CONNECTIONS ?= 10000
faults: export ROOKERY_FUZZ_CASES ?= 50000
faults: $(ENV)/dev.stamp ## kill and break servers, for longer than make test does
	@scripts/install-tools cc || [ "$$CI" != true ]
	@$(BIN)/pytest -n $(JOBS) --dist worksteal tests/faults tests/fuzz $(ARGS)

lint: $(ENV)/dev.stamp ## check style, types and the import rules
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/basedpyright
	@$(BIN)/lint-imports --no-logo

format: $(ENV)/dev.stamp ## put the code into the form that lint asks for
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

# Without Redis and PostgreSQL the benchmarks of them fail, and the others run.
bench: $(ENV)/standard.stamp ## measure, and write the tables
	@scripts/install-tools wrk
	@scripts/install-engines redis postgres || true
	@$(BIN)/python -m bench $(ARGS)

# The lowest Python that is supported makes the locks: what it can install, the later ones can. The addresses that
# packages come from stay out, and so does everything that differs between machines.
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe \
	--strip-extras --no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options

catalogs: $(ENV)/dev.stamp ## bring the translations' catalogs up to date with the code
	@$(BIN)/python scripts/catalogs.py $(ARGS)

screenshots: $(ENV)/dev.stamp ## remake the README's screenshots, on a demo network of their own
	@scripts/install-tools browser
	@$(BIN)/python scripts/screenshots.py $(ARGS)

lock: $(ENV)/dev.stamp ## remake the lock files; ARGS="--upgrade" brings newer versions
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "make lock needs an environment of Python 3.11")'
	@$(COMPILE) $(ARGS) --extra build --output-file requirements/run.txt pyproject.toml
	@$(COMPILE) $(ARGS) --extra build --extra traces --extra standard --constraint requirements/run.txt \
		--output-file requirements/standard.txt pyproject.toml
	@$(COMPILE) $(ARGS) --extra build --extra bench --extra traces --extra standard --extra dev --constraint requirements/standard.txt \
		--output-file requirements/dev.txt pyproject.toml

clean: ## remove the environment and everything made by tools; data folders stay
	@rm -rf $(ENV) build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache src/*.egg-info
	@find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# An environment knows its own path; one that was moved with the checkout, or whose Python is gone, is made again.
ifneq ($(shell [ -x $(BIN)/python ] && cat $(ENV)/path 2>/dev/null),$(CURDIR))
$(ENV)/path: FORCE
endif

$(ENV)/path:
	@python="$(PYTHON)"; [ -n "$$python" ] || python=$$(scripts/python) || exit 1; \
	echo "Making $(ENV) with $$python"; \
	"$$python" -m venv --clear $(ENV) && echo "$(CURDIR)" > $@

$(ENV)/run.stamp: requirements/run.txt pyproject.toml $(ENV)/path
	@echo "Installing what Rookery needs"
	@$(PIP) install --quiet --require-hashes --requirement requirements/run.txt
	@$(LINK)
	@touch $@

# This lock holds all of run.txt, at the same versions, and the one below all of both.
$(ENV)/standard.stamp: requirements/standard.txt pyproject.toml $(ENV)/path
	@echo "Installing what the standard profile needs"
	@$(PIP) install --quiet --require-hashes --requirement requirements/standard.txt
	@$(LINK)
	@touch $(ENV)/run.stamp $@

$(ENV)/dev.stamp: requirements/dev.txt pyproject.toml $(ENV)/path
	@echo "Installing what the tests and checks need"
	@$(PIP) install --quiet --require-hashes --requirement requirements/dev.txt
	@$(LINK)
	@touch $(ENV)/run.stamp $(ENV)/standard.stamp $@
