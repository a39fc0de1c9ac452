# Everything a newcomer needs; `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help deps build test check fuzz soak moves bench-supervision demo format install clean

PREFIX ?= /usr/local
BIN := .build/release
PROGRAMS := synmesh synmesh-node synmesh-guard synmesh-probe synmesh-photogrammetry \
	synmesh-thoughts

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

deps: ## Install the system packages that are missing (sudo where needed)
	@./.ci/install-packages

build: deps ## Build the release programs into .build/release/
	swift build -c release --static-swift-stdlib

# One test at a time: they spawn real meshes, and two cores are soon full.
test: deps ## Build and run every test
	swift build --build-tests
	./.ci/run-tests

check: deps ## What must hold before a commit: format, build without warnings, tests
	swift format lint --strict --recursive --parallel Package.swift Sources Tests agents
	$(MAKE) test

fuzz: deps ## 100,000 bad inputs on every socket, header and history, and schedules of moves (SYNMESH_BAD_INPUTS, ..._SEED)
	swift build --build-tests
	SYNMESH_BAD_INPUTS=$${SYNMESH_BAD_INPUTS:-100000} \
		swift test --skip-build --no-parallel --filter BadInputTests
	SYNMESH_MOVE_FAULTS=1 SYNMESH_MOVE_SEEDS=100000 \
		swift test --skip-build --no-parallel --filter 'MoveRuns|MoveModelTests'
	SYNMESH_MUTATIONS=100000 SYNMESH_KILLS=1000 SYNMESH_DOCUMENTS=100000 \
		swift test --skip-build --no-parallel --filter 'DamageTests|MutationTests|CrashTests|CanonicalTests'

# Some 10 minutes, 10 GB of disk and 5 GB of memory each; what a run wrote is removed when it passed.
soak: build ## Ten million envelopes over each transport, and the control that must fail
	set -e; for play in soak-loss soak-zeromq soak-nats; do \
		$(BIN)/synmesh run scenarios/$$play.yaml; rm -rf logs/$$play; done

moves: build ## Each of eight agents a hundred times to NATS and back, at 20,000 envelopes a second
	$(BIN)/synmesh run scenarios/hundred-round-trips.yaml

# Beside honcho, supervisord and circus, where those are installed (pip install honcho supervisor circus).
bench-supervision: build ## Measure what supervision promises: survivors, restarts, order, output, 500 agents
	python3 Benchmarks/supervision/measure.py $(BIN)/synmesh

demo: build ## Play the first rehearsal and print its verdict
	$(BIN)/synmesh run scenarios/first-rehearsal.yaml

format: ## Format all Swift files in place
	swift format --in-place --recursive --parallel Package.swift Sources Tests agents

install: build ## Install the programs into PREFIX/bin (default /usr/local)
	install -d $(DESTDIR)$(PREFIX)/bin
	cd $(BIN) && install $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin

clean: ## Remove what was built
	rm -rf .build
