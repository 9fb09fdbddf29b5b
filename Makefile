# make help says what there is. Everything sets itself up first (lab/bootstrap.sh).
SHELL := /bin/bash
PYTHON := .venv/bin/python
DURATION ?= 90
export PYTHONPATH := .

.PHONY: help setup check lint types layers unit test features demo bench-callerid bench-calls bench-callerid-health bench-lists bench-live bench-pacing clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup:  ## install what is missing, make .venv
	@lab/bootstrap.sh

check: setup  ## lint, types, layers, unit and property tests, two at a time: under 30 s
	@$(MAKE) --no-print-directory -j2 --output-sync=target lint types layers unit

lint:
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types:
	$(PYTHON) -m mypy $(wildcard dialerd lab agi bench tests)

layers:
	.venv/bin/lint-imports

unit:
	$(PYTHON) -m pytest tests/unit tests/property

test: setup  ## every test, with real PostgreSQL, Redis and Asterisk, three at a time: most of them wait
	$(PYTHON) -m pytest tests -n 3 --dist worksteal

features: setup  ## write docs/features.md: what is promised, and which tests prove it
	$(PYTHON) -m tests.features

demo: setup  ## a campaign on a telephone network of its own, for DURATION=90 seconds
	$(PYTHON) -m lab.demo --duration $(DURATION)

bench-callerid: setup  ## how fast and fairly caller IDs are chosen, into bench/results/callerid.json; QUICK=1: a rough look
	$(PYTHON) -m bench.callerid

bench-calls: setup  ## what conversations cost on real SIP: joins, 500 calls held, leaks; QUICK=1: a rough look
	$(PYTHON) -m bench.calls

bench-callerid-health: setup  ## how surely a labelled caller ID is found, and healthy ones left alone: an hour; QUICK=1: a rough look
	$(PYTHON) -m bench.callerid_health

bench-lists: setup  ## figures of long lists, into bench/results/lists.json; QUICK=1: a hundredth of the size
	$(PYTHON) -m bench.lists

bench-live: setup  ## ten minutes of a predictive campaign on real Asterisk, held against the simulator; QUICK=1: 40 s
	$(PYTHON) -m bench.live $(if $(filter command line,$(origin DURATION)),--duration $(DURATION))

bench-pacing: setup  ## agents' occupancy and abandoned calls, ours and rivals, into bench/results/pacing.json; QUICK=1: a rough look
	$(PYTHON) -m bench.pacing

clean:  ## remove what was made here
	rm -rf .venv .run build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
