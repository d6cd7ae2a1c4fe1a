# Everything that a person or a CI does with this tree. Each target makes what it needs; as root the
# Debian packages too. Run `make help` for the list.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=

.PHONY: help demo test check bench bench-agent bench-edr bench-collect prove-delivery prove-outage prove-nodes soak seen seen-connector test-kernels deb docs format lock bpf clean fuzz

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: $(VENV)/.ready  ## the whole pipeline on this host; ARGS=--once ends after one marked command
	$(BIN)/deodar demo $(ARGS)

test: $(VENV)/.ready  ## all tests; as root also those that need a real kernel sensor
	tools/debian-packages test
	tools/run-tests $(ARGS)

check: $(VENV)/.ready  ## lint, types, the dependency rule, the mirror rule of tests, generated pages
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/mirror.py
	$(BIN)/python tools/pages.py --check

bench: $(VENV)/.ready  ## the benchmarks, as ratios in one run (several minutes)
	$(BIN)/python -m bench $(ARGS)

bench-agent: $(VENV)/.ready  ## the agent under load beside auditd, in the kernel, idle, in a build (root)
	tools/debian-packages bench
	$(BIN)/python -m bench agent_path agent_cost files_flood agent_idle load load.build hashing $(ARGS)

bench-edr: $(VENV)/.ready  ## the EDR server under a fleet: ingest, twenty readers, 15,000 idle agents
	$(BIN)/python -m bench edr_ingest edr_readers edr_idle $(ARGS)

bench-collect: $(VENV)/.ready  ## EDR server's port to the store; normalization beside rsyslog and syslog-ng
	tools/debian-packages test
	$(BIN)/python -m bench collect $(ARGS)

prove-delivery: $(VENV)/.ready  ## SIGKILL at 200 moments while a million events pass: each stored exactly once
	$(BIN)/python -m prove delivery $(ARGS)

prove-outage: $(VENV)/.ready  ## an hour of events with core and receiver away, on a bounded disk
	$(BIN)/python -m prove outage $(ARGS)

soak: $(VENV)/.ready  ## an agent through 20 minutes of trouble, every event accounted for (root)
	tools/debian-packages soak
	$(BIN)/python -m soak $(ARGS)

ROUNDS ?= 10
prove-nodes: $(VENV)/.ready  ## several EDR servers, each part of them killed ROUNDS times while agents send (PostgreSQL)
	tools/debian-packages test
	DEODAR_NODES_ROUNDS=$(ROUNDS) $(BIN)/pytest tests/e2e/test_nodes.py -k whatever_dies -rP --timeout 0 $(ARGS)

FUZZ_SECONDS ?= 1800
fuzz: $(VENV)/.ready  ## odd inputs to every decoder and to a running server, for FUZZ_SECONDS; prints the counts
	DEODAR_FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/pytest tests/fuzz --timeout 0 $(ARGS)
	DEODAR_FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/pytest tests/e2e/test_api_schema.py --timeout 0 -rP $(ARGS)

seen: $(VENV)/.ready  ## run the tests of settings and telemetry, note what they saw for the docs (root)
	tools/debian-packages test
	$(BIN)/pytest tests -m setting --seen docs/reference/agent-settings.seen.json $(ARGS)
	$(BIN)/pytest tests -m kind --kinds docs/reference/telemetry.seen.json $(ARGS)
	$(MAKE) docs

seen-connector: $(VENV)/.ready  ## run the conformance tests of kata/edr, note what they saw for the docs
	$(BIN)/pytest tests/conformance/connector --rows docs/reference/connector-kata-edr-conformance.seen.json $(ARGS)
	$(MAKE) docs

test-kernels: $(VENV)/.ready  ## the sensors' tests on Debian's stock kernels, emulated (root; ARGS=bookworm: one)
	tools/debian-packages test
	$(BIN)/python -m tests.kernels $(ARGS); code=$$?; $(MAKE) docs && exit $$code

deb: $(VENV)/.ready  ## the agent's Debian package, into dist/
	$(BIN)/python packaging/build_deb.py agent $(ARGS)

docs: $(VENV)/.ready  ## write the generated pages of docs/reference again
	$(BIN)/python tools/pages.py

bpf: $(VENV)/.ready  ## build the sensor's blobs again from bpf/
	tools/debian-packages bpf
	$(MAKE) -C bpf

format: $(VENV)/.ready  ## let ruff lay out and mend the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: $(VENV)/.ready  ## resolve requirements.lock and requirements-dev.lock again, with hashes
	tools/lock $(ARGS)

clean:  ## remove what the targets made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.ready: requirements-dev.lock pyproject.toml tools/venv
	tools/venv $(PYTHON) $(VENV)
	touch $@
