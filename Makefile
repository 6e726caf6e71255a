# Two commands do everything: make demo, make test. They need Go, a C compiler, Python and make; all else they fetch
# into this checkout. Tools that may be missing (spin, clang, qemu) skip their stage loudly, and under CI fail it.

GO      ?= go
BIN     := $(CURDIR)/bin
STAGE   := scripts/stage
PKGS    := ./...
CORE    := $(MAKE) --no-print-directory -s -C python/csrc
PYTHON3  = $(firstword $(shell scripts/pythons))

.PHONY: all build lib demo test lint unit race crash model fuzz-short bench bench-load bench-streams bench-compare peers peers-short \
	arm64-build test-arm64 torture torture-short crash-pairs coverage generate clean help c c-crash c-sanitize c-fuzz twins python duel flow

all: build

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the command into bin/
	@mkdir -p $(BIN)
	$(GO) build -o $(BIN)/ndpool ./cmd/ndpool

demo: build ## a photograph through worker processes in Go and Python, some of them killed, and compared with pickling
	@$(GO) build -o $(BIN)/photo ./examples/photo
	@$(GO) build -o $(BIN)/mosaic ./examples/mosaic
	@examples/demo $(BIN)/photo $(BIN)/mosaic -rounds 3 $(if $(IMAGE),-image '$(IMAGE)') $(DEMO_FLAGS)

test: ## everything: lint, tests, race detector, crash build, models, fuzzing, arm64 build
	@$(STAGE) begin
	@$(STAGE) lint        $(MAKE) --no-print-directory lint
	@$(STAGE) unit        $(MAKE) --no-print-directory unit
	@$(STAGE) race        $(MAKE) --no-print-directory race
	@$(STAGE) crash       $(MAKE) --no-print-directory crash
	@$(STAGE) c           $(MAKE) --no-print-directory c
	@$(STAGE) c-crash     $(MAKE) --no-print-directory c-crash
	@$(STAGE) c-sanitize  $(MAKE) --no-print-directory c-sanitize
	@$(STAGE) c-fuzz      $(MAKE) --no-print-directory c-fuzz
	@$(STAGE) twins       $(MAKE) --no-print-directory twins
	@$(STAGE) python      $(MAKE) --no-print-directory python
	@$(STAGE) duel        $(MAKE) --no-print-directory duel
	@$(STAGE) torture     $(MAKE) --no-print-directory torture-short
	@$(STAGE) flow        $(MAKE) --no-print-directory flow
	@$(STAGE) peers       $(MAKE) --no-print-directory peers-short
	@$(STAGE) fuzz        $(MAKE) --no-print-directory fuzz-short
	@$(STAGE) arm64-build $(MAKE) --no-print-directory arm64-build
	@$(STAGE) model       $(MAKE) --no-print-directory model
	@$(STAGE) summary

lint: ## gofmt, go vet, staticcheck, ruff, mypy, and the house rules; gcc's warnings are errors wherever C is built
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "gofmt: the files above are not formatted"; exit 1; }
	$(GO) vet $(PKGS)
	$(GO) vet -tags ndpool_crash $(PKGS)
	$(GO) tool staticcheck $(PKGS)
	cd bench/peers && $(GO) vet ./...
	scripts/python-lint $(PYTHON3)
	python3 -B bench/peers/report.py --check
	python3 -B bench/peers/report_test.py
	scripts/house-rules

unit: ## the tests
	$(GO) test $(PKGS)

race: ## the tests under the race detector, on the same-process twin
	$(GO) test -race -short $(PKGS)

crash: ## die after every shared store of every operation, and of the recovery
	$(GO) test -tags ndpool_crash -run Crash ./internal/shm ./pool

lib: ## the C library libndpool.so and its header, in build/c/plain
	$(CORE) -j lib

c: build ## the tests of the C core, and a death at every instruction of the four verbs
	$(CORE) -j tests
	NDPOOL_CLI=$(BIN)/ndpool $(CORE) check

c-crash: ## as crash, for the C core
	$(CORE) -j VARIANT=crash $(CURDIR)/build/c/crash/crash_test
	build/c/crash/crash_test $(CURDIR)

c-sanitize: ## the tests of the C core under the address, undefined behaviour and thread sanitizers
	$(CORE) -j VARIANT=asan tests
	$(CORE) VARIANT=asan check
	$(CORE) -j VARIANT=tsan tests
	$(CORE) VARIANT=tsan check

c-fuzz: ## libFuzzer over a scribbled segment and over messages; FUZZTIME=10m for longer
	scripts/need clang clang -- scripts/c-fuzz $(or $(FUZZTIME),10s)

twins: ## the same traces through Go and C leave the same words
	$(CORE) -j tools
	NDPOOL_TWIN=$(CURDIR)/build/c/plain/twin $(GO) test -count=1 -run Twin ./pool

python: build ## the tests of the Python package, by every CPython from 3.11 on that is to be had
	NDPOOL_CLI=$(BIN)/ndpool scripts/python-test

duel: ## the examples of Go with Python
	NDPOOL_PYTHON=$$(scripts/venv $(PYTHON3)) $(GO) test -count=1 ./examples/...

torture: ## Go and Python processes, all verbs, everything that can go wrong, for an hour; MINUTES=n, SEED=n, FLAGS=... (-h lists them)
	@mkdir -p $(BIN)
	$(GO) build -o $(BIN)/torture ./fuzz/torture
	$(BIN)/torture -minutes $(or $(MINUTES),60) $(if $(SEED),-seed $(SEED)) -python $$(scripts/venv $(PYTHON3)) $(FLAGS)

torture-short: ## the same for half a minute
	@$(MAKE) --no-print-directory torture MINUTES=0.5

flow: ## streams and queues between Go and Python processes, some of them killed; what it looks for is found; MINUTES=n for longer
	@mkdir -p $(BIN)
	$(GO) build -o $(BIN)/flow ./fuzz/flow
	$(BIN)/flow -canaries
	$(BIN)/flow -minutes $(or $(MINUTES),0.5) -python $$(scripts/venv $(PYTHON3))

fuzz-short: ## each fuzz target for a few seconds; FUZZTIME=10m for longer
	scripts/fuzz $(or $(FUZZTIME),2s)

model: ## the protocol's rules, by spin, and the mutations that break them
	scripts/need spin spin -- docs/model/run

arm64-build: ## cross-build for arm64, and for systems that are not supported
	GOARCH=arm64 $(GO) build $(PKGS)
	GOARCH=arm64 $(GO) vet $(PKGS)
	GOOS=darwin $(GO) build $(PKGS)

test-arm64: ## the tests under qemu-user; not what starts itself (the examples), or forks with MADV_DONTFORK, which it cannot
	scripts/need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu -- $(CORE) -j CC=aarch64-linux-gnu-gcc VARIANT=arm64 LINK="-pthread -static" tests
	for t in alloc_test handle_test; do scripts/need qemu-aarch64-static qemu-user-static -- qemu-aarch64-static build/c/arm64/$$t $(CURDIR) || exit 1; done
	scripts/need qemu-aarch64-static qemu-user-static -- env GOARCH=arm64 NDPOOL_EMULATOR=qemu-aarch64-static $(GO) test -exec qemu-aarch64-static -short $$($(GO) list $(PKGS) | grep -v /examples/)

bench: ## benchmarks, medians of three; figures in bench/README.md
	scripts/bench
	scripts/bench-python

bench-load: ## an HDF5 file of 1 GiB into a pool, beside h5py alone and cute-shm, which it fetches
	scripts/bench-load

bench-streams: ## streams and queues beside pipes, multiprocessing.Queue and a semaphore with a copy; takes some minutes
	scripts/bench-streams

peers: ## ndpool beside what one would use instead, into bench/results and bench/README.md; takes half an hour. FLAGS=... (-h lists them)
	scripts/peers $(FLAGS)

peers-short: ## each workload of the peers that need nothing fetched, for a moment: that they work
	scripts/peers --short

bench-compare: ## the benchmarks of this tree beside those of REF=commit, by benchstat; BENCH=regexp, COUNT=n
	scripts/bench-compare $(or $(REF),HEAD) '$(or $(BENCH),.)' $(or $(COUNT),6)

coverage: ## which crash points the crash builds died at, and which error returns the tests took
	scripts/coverage

crash-pairs: ## the crash builds with all pairs of deaths, and a death at each instruction also of the slow paths; long
	NDPOOL_LONG=1 $(GO) test -timeout 2h -tags ndpool_crash -run Crash ./pool
	$(CORE) -j VARIANT=crash $(CURDIR)/build/c/crash/crash_test
	NDPOOL_LONG=1 build/c/crash/crash_test $(CURDIR)
	$(CORE) -j tests
	NDPOOL_LONG=1 build/c/plain/step_test $(CURDIR)

generate: ## the size classes, the C header and the tables of docs/FORMAT.md, from arena/layout
	$(GO) generate ./...

clean: ## remove what was built
	rm -rf $(BIN) out build .venv
