# Every target builds what it needs first: `make demo` and `make test` work on a machine with only Python and pip.
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11 python
PYTHON ?= $(shell for candidate in $(CANDIDATES); do \
	if $$candidate -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then command -v $$candidate; break; fi; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
BENCH_VENV := .venv-bench
BENCH_BIN := $(BENCH_VENV)/bin
BENCH_INSTALLED := $(BENCH_VENV)/.installed
BENCH_PIP := $(BENCH_BIN)/python -m pip --disable-pip-version-check --quiet
UV ?= uv
COMPILE := $(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-header

SCENARIO ?= calm
MONTH_DATA ?= $(wildcard ../shared/data/ml-latest-small)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-faults check audit dashboards bench-data bench-drift bench-drift-queries bench-flow bench-gate \
	bench-memory bench-middleware bench-models bench-scale bench-serve bench-setup bench-snapshots lock screenshots clean

help: ## this list
	@echo "make setup          .venv with everything from requirements.lock, and cineclub itself"
	@echo "make demo           import 100,004 real ratings, train, promote, serve on 127.0.0.1:8000"
	@echo "make test           the whole test suite (6 minutes at most)"
	@echo "make test-faults    the slow tests that kill processes"
	@echo "make check          format, lint, types, layers, installed packages; no tests"
	@echo "make month          the whole service lives through 30 simulated days (8 minutes); SCENARIO=all injects trouble"
	@echo "make audit          known vulnerabilities of what is in requirements.lock; asks an advisory service"
	@echo "make dashboards     the files of Grafana, Prometheus and Alertmanager in ops/, from the code there"
	@echo "make bench-data     loading and importing beside psql's own copy, 10 M generated rows"
	@echo "make bench-drift-queries  seconds of counting for a check of drift; RATINGS=25000000 unless given"
	@echo "make bench-gate     false promotions and power of the gate, simulated; a few minutes"
	@echo "make bench-drift    false alarms and found troubles of drift, simulated; some minutes"
	@echo "make bench-flow     the training flow on ml-latest-small, and the demo from start to ready"
	@echo "make bench-serve    /predict/ beside a constant answer, beside a training, and with 25 M ratings; ONLY=speed for one"
	@echo "make bench-memory   memory of several API workers, and of one after 200,000 requests and 20 hot reloads"
	@echo "make bench-middleware  what measuring every request costs of the throughput; fails above 5 %"
	@echo "make bench-models   models beside Surprise and implicit: speed, errors, lists; DATA=PATH for other ratings"
	@echo "make bench-scale    seconds and memory of each model on generated ratings; RATINGS=25000000 unless given"
	@echo "make bench-snapshots  keeping, loading and rewriting snapshots, statistics; RATINGS=10000000 unless given"
	@echo "make screenshots    the pictures of the page in docs/images (needs Debian's chromium and chromium-driver)"
	@echo "make lock           requirements*.lock here and in ops/ anew (needs uv)"
	@echo "make clean          remove .venv and caches; the state in CINECLUB_HOME stays"

setup: $(INSTALLED)

$(INSTALLED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "cineclub needs Python 3.11 or newer with the venv module (on Debian: python3-venv);" \
		"name one with make PYTHON=/path/to/python3"; exit 1; }
	@echo "installing into $(VENV) with $(PYTHON) (once, a minute or two)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --editable .
	@touch $@

demo: setup
	@$(BIN)/cineclub demo

test: setup
	$(BIN)/pytest -n 2 -m "not faults"

test-faults: setup
	$(BIN)/pytest -m faults

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pip --disable-pip-version-check check

audit: setup
	$(BIN)/python .ci/audit.py $(AUDIT)

dashboards: setup
	$(BIN)/python -m ops

bench-data: setup
	$(BIN)/python benchmarks/data.py

bench-drift-queries: setup
	$(BIN)/python benchmarks/drift_queries.py $(if $(RATINGS),--ratings $(RATINGS))

month: setup
	$(BIN)/cineclub replay $(MONTH_DATA) --scenario $(SCENARIO) --output docs/month

bench-gate: setup
	$(BIN)/python benchmarks/gate.py

bench-drift: setup
	$(BIN)/python benchmarks/drift.py

bench-flow: setup
	$(BIN)/python benchmarks/flow.py

bench-serve: setup
	$(BIN)/python benchmarks/serving.py $(if $(DATA),--data "$(DATA)") $(if $(ONLY),--only $(ONLY))

bench-memory: setup
	$(BIN)/python benchmarks/memory.py

bench-middleware: setup
	$(BIN)/python benchmarks/middleware.py

bench-setup: $(BENCH_INSTALLED)

$(BENCH_INSTALLED): requirements.lock requirements-bench.lock pyproject.toml
	@echo "installing the peers into $(BENCH_VENV) (once, minutes: scikit-surprise is compiled, which takes a C compiler)"
	@test -x $(BENCH_BIN)/python || $(PYTHON) -m venv $(BENCH_VENV)
	@$(BENCH_PIP) install --require-hashes -r requirements.lock
	@$(BENCH_PIP) install --require-hashes -r requirements-bench.lock
	@$(BENCH_PIP) install --no-deps --editable .
	@touch $@

bench-models: bench-setup
	$(BENCH_BIN)/python benchmarks/models.py $(if $(DATA),--data "$(DATA)") $(if $(ONLY),--only $(ONLY))

bench-snapshots: setup
	$(BIN)/python benchmarks/snapshots.py $(if $(RATINGS),--ratings $(RATINGS))

bench-scale: bench-setup
	$(BENCH_BIN)/python benchmarks/scale.py $(if $(RATINGS),--ratings $(RATINGS)) $(if $(ONLY),--only $(ONLY))

screenshots: setup
	PYTHONPATH=tests/api:tests/browser $(BIN)/python tests/browser/screenshots.py

lock:
	$(COMPILE) --extra demo --extra client --group dev --output-file requirements.lock pyproject.toml
	$(COMPILE) --group bench --constraint requirements.lock --output-file requirements-bench.lock
	$(COMPILE) --constraint requirements.lock --output-file ops/requirements.lock pyproject.toml
	$(COMPILE) --extra mlflow --output-file ops/requirements-mlflow.lock pyproject.toml

clean:
	rm -rf $(VENV) $(BENCH_VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
