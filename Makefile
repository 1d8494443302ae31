# Every target first installs the packages it needs: `make demo` and `make test` need only Python and pip.
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

ATTACK ?= full
SCENARIO ?= calm
SEED ?= 0
DAYS ?= 30
OUTPUT ?= docs/month
MONTH_DATA ?= $(wildcard ../shared/data/ml-latest-small)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-attack test-faults test-system check audit dashboards bench-crowd bench-data bench-drift bench-drift-queries bench-flow bench-gate \
	bench-memory bench-middleware bench-models bench-moving bench-new-films bench-scale bench-serve bench-setup bench-snapshots bench-time lock month month-tables screenshots clean

help: ## list of the targets
	@echo "make setup          .venv with the packages of requirements.lock, and cineclub itself"
	@echo "make demo           import 100,004 real ratings, train, promote, serve on 127.0.0.1:8000"
	@echo "make test           the tests of every part, without those of whole processes"
	@echo "make test-system    the tests of whole processes: command line, worker, browser, MLflow's store"
	@echo "make test-faults    the slow tests, which kill processes"
	@echo "make test-attack    damaged backups, mutated files, kills under load, slow heads, planted secrets; ATTACK=short for a part"
	@echo "make check          format, lint, types, layers, sizes of files and functions, installed packages; no tests"
	@echo "make month          a simulated month of 30 days with the whole service (8 minutes); SCENARIO=all DATA=PATH SEED=0 DAYS=3 MODELS=ease,popular STEP_BACK=0 OUTPUT=PATH"
	@echo "make month-tables   the tables of docs/month.md and docs/evaluation.md, from the months kept in docs/month"
	@echo "make audit          known vulnerabilities of the packages in requirements.lock, from an advisory service"
	@echo "make dashboards     the files of Grafana, Prometheus and Alertmanager in ops/, written from the code in ops/"
	@echo "make bench-data     loading and importing 10 M generated rows, compared with psql's own copy"
	@echo "make bench-crowd    seconds of the crowd's counts; RATINGS=25000000 by default"
	@echo "make bench-drift-queries  seconds of a drift check; RATINGS=25000000 by default"
	@echo "make bench-gate     simulated false promotions, power and first models of the gate; some minutes"
	@echo "make bench-time     trends, models and the combination walked in time; ONLY=large runs 25 M generated ratings"
	@echo "make bench-drift    simulated false alarms and detected faults of drift checks; some minutes"
	@echo "make bench-flow     the training flow on ml-latest-small, and the demo from start to ready"
	@echo "make bench-serve    /predict/ compared with a constant response, during a training, and with 25 M ratings; ONLY=speed runs one part"
	@echo "make bench-memory   memory of several API processes, and of one after 200,000 requests and 20 hot reloads"
	@echo "make bench-middleware  cost of measuring every request, as a share of the throughput; fails above 5 %"
	@echo "make bench-moving   hits of lists with films that step back; DATA=PATH for other ratings"
	@echo "make bench-new-films  films that nobody has rated: ranked by attributes, in lists, at 59,000 films; half an hour; DATA=PATH"
	@echo "make bench-models   models compared with Surprise and implicit: speed, errors, lists; DATA=PATH for other ratings"
	@echo "make bench-scale    seconds and memory of each model on generated ratings; RATINGS=25000000 by default"
	@echo "make bench-snapshots  storing, loading and rewriting snapshots, statistics; RATINGS=10000000 by default"
	@echo "make screenshots    screenshots of the page in docs/images (needs Debian's chromium and chromium-driver)"
	@echo "make lock           rewrites requirements*.lock here and in ops/ (needs uv)"
	@echo "make clean          removes .venv and caches; the state in CINECLUB_HOME stays"

setup: $(INSTALLED)

$(INSTALLED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "cineclub needs Python 3.11 or newer with the venv module (on Debian: python3-venv);" \
		"or set make PYTHON=/path/to/python3"; exit 1; }
	@echo "installing into $(VENV) with $(PYTHON) (once, a minute or two)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --editable .
	@touch $@

demo: setup
	@$(BIN)/cineclub demo

test: setup
	$(BIN)/pytest -n 2 -m "not system and not faults and not attack"

test-system: setup
	$(BIN)/pytest -n 2 -m "system and not faults and not attack"

test-faults: setup
	$(BIN)/pytest -m faults

test-attack: setup
	ATTACK=$(ATTACK) $(BIN)/pytest -m attack -s

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/structure.py
	$(BIN)/python -m pip --disable-pip-version-check check

audit: setup
	$(BIN)/python .ci/audit.py $(AUDIT)

dashboards: setup
	$(BIN)/python -m ops

bench-data: setup
	$(BIN)/python benchmarks/data.py

bench-crowd: setup
	$(BIN)/python benchmarks/crowd_counts.py $(if $(RATINGS),--ratings $(RATINGS))

bench-drift-queries: setup
	$(BIN)/python benchmarks/drift_queries.py $(if $(RATINGS),--ratings $(RATINGS))

month: setup
	$(BIN)/python -m benchmarks.month $(if $(or $(DATA),$(MONTH_DATA)),"$(or $(DATA),$(MONTH_DATA))") \
		--scenario $(SCENARIO) --seed $(SEED) --days $(DAYS) --output "$(OUTPUT)" \
		$(if $(MODELS),--models $(MODELS)) $(if $(STEP_BACK),--step-back $(STEP_BACK)) \
		$(if $(DAY_SECONDS),--day-seconds $(DAY_SECONDS)) $(if $(MAX_DAILY_RATINGS),--max-daily-ratings $(MAX_DAILY_RATINGS))

month-tables: setup
	@$(BIN)/python -m benchmarks.month.summary docs/month

bench-gate: setup
	$(BIN)/python benchmarks/gate.py

bench-time: bench-setup
	$(BENCH_BIN)/python benchmarks/in_time.py $(if $(DATA),--data "$(DATA)") $(if $(ONLY),--only $(ONLY)) $(if $(RATINGS),--ratings $(RATINGS))

bench-drift: setup
	$(BIN)/python benchmarks/drift.py

bench-flow: setup
	$(BIN)/python benchmarks/flow.py

bench-serve: setup
	$(BIN)/python benchmarks/serving.py $(if $(DATA),--data "$(DATA)") $(if $(ONLY),--only $(ONLY))

bench-moving: setup
	$(BIN)/python benchmarks/moving_lists.py $(if $(DATA),--data "$(DATA)")

bench-memory: setup
	$(BIN)/python benchmarks/memory.py

bench-middleware: setup
	$(BIN)/python benchmarks/middleware.py

bench-setup: $(BENCH_INSTALLED)

$(BENCH_INSTALLED): requirements.lock requirements-bench.lock pyproject.toml
	@echo "installing the compared libraries into $(BENCH_VENV) (once, minutes: scikit-surprise is compiled and needs a C compiler)"
	@test -x $(BENCH_BIN)/python || $(PYTHON) -m venv $(BENCH_VENV)
	@$(BENCH_PIP) install --require-hashes -r requirements.lock
	@$(BENCH_PIP) install --require-hashes -r requirements-bench.lock
	@$(BENCH_PIP) install --no-deps --editable .
	@touch $@

bench-new-films: setup
	$(BIN)/python benchmarks/new_films.py $(if $(DATA),--data "$(DATA)")

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
