# Everything a developer types. Each target installs what it needs first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests start hundreds of processes: a third of a start is compiling what could have been kept.
unexport PYTHONDONTWRITEBYTECODE
FOLDERS := sweepyard search schedulers tracking bus controller agent

.PHONY: demo test simulate chaos lint bench docs install newest sbom clean help build/types

help:
	@echo "make demo   run a real sweep: Bayesian search, early stopping, two agents (a minute or two)"
	@echo "make test   all tests, on a real Valkey and a real PostgreSQL that they start themselves"
	@echo "make simulate  2,000 sweeps in virtual time, with everything that can go wrong"
	@echo "make chaos  everything is killed, again and again: what survived, as a table; SCALE=3 for more of it, RUNS=20 for that often"
	@echo "make lint   format, style, types and the arrows between folders"
	@echo "make docs   the generated parts of docs/"
	@echo "make newest    the newest version of everything that we are made of, into constraints.txt"
	@echo "make sbom   what the product is made of, as CycloneDX, into build/sbom.json"
	@echo "make bench  every figure of benchmarks/README.md"

install: $(VENV)/installed

# The same versions everywhere until `make newest`: nobody's tests break because somebody else has published something.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python >= 3.11 is needed; name one: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

newest:
	rm -rf build/newest
	$(PYTHON) -m venv build/newest
	build/newest/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	build/newest/bin/python -m pip freeze --exclude-editable > constraints.txt

# Of an environment that has the product alone, without what only tests and lint need.
SBOM := build/sbom
sbom:
	rm -rf $(SBOM)
	for each in product tool; do $(PYTHON) -m venv $(SBOM)/$$each || exit 1; done
	$(SBOM)/product/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	$(SBOM)/tool/bin/python -m pip install --quiet --disable-pip-version-check 'cyclonedx-bom>=7,<8'
	$(SBOM)/tool/bin/cyclonedx-py environment --pyproject pyproject.toml --output-file $(SBOM).json $(SBOM)/product/bin/python

demo: install
	$(BIN)/sweepyard run examples/digits/sweep.yaml --workers 2

test: install build/oldest-rq
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --ignore tests/chaos
	PYTHONPATH=build/oldest-rq $(BIN)/python -m pytest -n 2 $(TESTS_OF_RQ)

# Tests wait for processes more than they compute: two at once on each core.
WORKERS = $(shell $(PYTHON) -c 'import os; print(2 * len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4)')

# SIMULATIONS: how many; a test run has 40.
simulate: install
	SIMULATIONS=2000 $(BIN)/python -m pytest -n 2 tests/simulation/test_simulation.py

# Tests of survival wait even more. Each worker gets one at a time, the long ones first (tests/chaos/conftest.py).
SCALE ?= 1
RUNS ?= 1
chaos: install
	rm -f build/chaos.json
	for run in $$(seq $(RUNS)); do \
		CHAOS_ADD=1 CHAOS_SCALE=$(SCALE) $(BIN)/python -m pytest -n 6 --dist load --maxschedchunk 1 tests/chaos || exit 1; \
	done

# Both majors of rq are supported: the environment has the newest, this is the oldest, with all that speaks to rq:
# the bus itself, and one sweep from its first offer to its last on each side of it.
TESTS_OF_RQ = tests/integration/test_redis_bus.py \
	"tests/integration/test_engine.py::test_a_sweep_runs_to_its_cap_and_finishes[sqlite]" \
	"tests/integration/test_engine.py::test_a_flushed_redis_costs_nothing[sqlite]" \
	tests/integration/test_agent_pump.py::test_one_run_after_the_other
build/oldest-rq: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $@ rq==2.12.0
	touch $@

docs: install
	for page in architecture settings_page sweep_file_page; do $(BIN)/python tests/docs/test_$$page.py; done

# Type checkers do not follow the import mapping of an editable install: show them the tree as it is published, linked
# anew each time because modules come and go.
build/types:
	rm -rf $@ && mkdir -p $@/sweepyard
	ln -s $(CURDIR)/sweepyard/* $@/sweepyard/
	for folder in $(filter-out sweepyard,$(FOLDERS)); do ln -s $(CURDIR)/$$folder $@/sweepyard/$$folder; done

lint: install build/types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	cd build/types && MYPYPATH=. ../../$(BIN)/mypy --config-file ../../pyproject.toml -p sweepyard
	cd build/types && PYTHONPATH=. ../../$(BIN)/lint-imports --config ../../pyproject.toml

# search_pictures.py measures nothing: it draws what search.py kept.
bench: install
	for script in $$(grep -l __main__ benchmarks/*.py | grep -v pictures); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
