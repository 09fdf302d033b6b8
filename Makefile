# The two commands a newcomer needs are `make run` and `make test`. Each sets up .venv first, from the hashed locks in
# requirements/, and again only when one of its inputs has changed. Needed beforehand: make and Python 3.11 or newer
# with venv. Where packages come from is pip's own configuration; nothing here names an index.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
WORKERS ?= 2
ARGS ?=
RUNS ?= 5000000

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: help run test check kills bench fuzz lock dist clean tools

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)$$/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | while IFS='|' read -r name text; \
	do printf '%-14s%s\n' "$$name" "$$text"; done
	@printf '\nThe variables: PYTHON=%s (what .venv is made with), ARGS (for run: flags of watch; for test: of pytest; for kills and fuzz: of their run), WORKERS=%s, RUNS=%s (of each fuzz target)\n' \
	'$(PYTHON)' '$(WORKERS)' '$(RUNS)'

# exec: the program takes the place of the shell, so that Ctrl-C and SIGTERM reach it and nothing else.
run: $(VENV)/.core ## Watch the LAYA services in the foreground; Ctrl-C ends it with a report
	@exec $(BIN)/laya-uptime watch $(ARGS)

test: $(VENV)/.dev tools ## Run every test
	@$(BIN)/pytest -n $(WORKERS) $(ARGS)

check: $(VENV)/.dev ## Lint, formatting, types, layers, dependencies, locks
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry src
	$(BIN)/python scripts/lock.py --check

kills: $(VENV)/.dev ## Kill the monitor 220 times where it hurts most, about 5 minutes; ARGS='--seed 7' for other kills
	@$(BIN)/python -m laya_uptime.testing.kills --trials 10 --seed 1 --jobs 8 --markdown docs/evidence/kills.md $(ARGS)

# Every program there but what these share. All are run, also after one whose gates do not hold.
BENCHMARKS = $(filter-out %/rows.py %/target.py %/whole.py,$(wildcard benchmarks/*.py))

bench: $(VENV)/.dev ## Measure speed and memory, beside peers and shortened: a few minutes; fails where a gate does not hold
	@failed=0; for file in $(BENCHMARKS); do echo "== $$file"; $(BIN)/python $$file --quick || failed=1; done; exit $$failed

fuzz: $(VENV)/.fuzz ## Feed what reads strangers' bytes RUNS inputs for each target, about half an hour; RUNS=10000 is quick
	@$(BIN)/python fuzz/campaign.py --runs $(RUNS) $(ARGS)

lock: $(VENV)/.dev ## Resolve requirements/*.txt anew from pyproject.toml; ARGS=--upgrade takes newer versions
	$(BIN)/python scripts/lock.py $(ARGS)

dist: $(VENV)/.dev ## Build the wheel and the source archive into dist/, with their checksums
	rm -rf dist
	$(BIN)/hatchling build -t wheel -t sdist -d dist
	cd dist && sha256sum -- *.whl *.tar.gz > SHA256SUMS && cat SHA256SUMS

clean: ## Remove .venv, caches and what was built
	rm -rf $(VENV) dist build .fuzz .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests scripts fuzz -name __pycache__ -type d -prune -exec rm -rf {} +

# Some tests use bubblewrap and systemd-analyze. Where they are missing, and this is root on Debian or Ubuntu, they are
# installed; where that is not possible, those tests say that they did not run.
tools:
	@command -v bwrap >/dev/null && command -v systemd-analyze >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing bubblewrap and systemd, which some tests use"; \
	  { timeout 120 apt-get update -qq && DEBIAN_FRONTEND=noninteractive timeout 240 \
	    apt-get install -y -qq --no-install-recommends bubblewrap systemd; } </dev/null >/dev/null 2>&1 \
	    || echo "They could not be installed: the tests that use them will say that they did not run"; \
	fi

$(VENV)/.made:
	@command -v '$(PYTHON)' >/dev/null || { \
	  echo "laya-uptime needs Python 3.11 or newer, and $(PYTHON) is not here. On Debian or Ubuntu: apt install python3-venv" >&2; exit 2; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "laya-uptime needs Python 3.11 or newer; $(PYTHON) is $$('$(PYTHON)' -V 2>&1). Name another: make PYTHON=python3.11" >&2; exit 2; }
	@'$(PYTHON)' -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv. On Debian or Ubuntu: apt install python3-venv" >&2; exit 2; }
	@echo "Setting up $(VENV)"
	@'$(PYTHON)' -m venv $(VENV)
	@touch $@

$(VENV)/.core: requirements/core.txt requirements/build.txt pyproject.toml | $(VENV)/.made
	@echo "Installing what laya-uptime needs into $(VENV)"
	@$(PIP) install --quiet --require-hashes -r requirements/build.txt -r requirements/core.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# The development set holds the core set whole, so one stamp answers for both.
$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(VENV)/.made
	@echo "Installing what the tests and checks need into $(VENV); the first time takes a minute"
	@$(PIP) install --quiet --require-hashes -r requirements/dev.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $(VENV)/.core $@

# Beside what is there, core or development set: atheris needs neither.
$(VENV)/.fuzz: requirements/fuzz.txt $(VENV)/.core
	@echo "Installing the fuzzer into $(VENV)"
	@$(PIP) install --quiet --require-hashes -r requirements/fuzz.txt
	@touch $@
