# Two commands do everything: make demo, make test. They need Go, a C compiler, Python and make; all else they fetch
# into this checkout. Tools that may be missing (spin, qemu) skip their stage loudly, and under CI fail it.

GO      ?= go
BIN     := $(CURDIR)/bin
STAGE   := scripts/stage
PKGS    := ./...

.PHONY: all build demo test lint unit race crash model fuzz-short bench arm64-build test-arm64 storm torture soak generate clean help

all: build

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the command into bin/
	@mkdir -p $(BIN)
	$(GO) build -o $(BIN)/ndpool ./cmd/ndpool

demo: build ## the main job: a photograph through worker processes, one of them killed
	$(GO) build -o $(BIN)/photo ./examples/photo
	$(BIN)/photo $(if $(IMAGE),-image $(IMAGE)) $(DEMO_FLAGS)

test: ## everything: lint, tests, race detector, crash build, models, fuzzing, arm64 build
	@$(STAGE) begin
	@$(STAGE) lint        $(MAKE) --no-print-directory lint
	@$(STAGE) unit        $(MAKE) --no-print-directory unit
	@$(STAGE) race        $(MAKE) --no-print-directory race
	@$(STAGE) crash       $(MAKE) --no-print-directory crash
	@$(STAGE) storm       $(MAKE) --no-print-directory storm
	@$(STAGE) fuzz        $(MAKE) --no-print-directory fuzz-short
	@$(STAGE) arm64-build $(MAKE) --no-print-directory arm64-build
	@$(STAGE) model       $(MAKE) --no-print-directory model
	@$(STAGE) summary

lint: ## gofmt, go vet, staticcheck, and the house rules
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "gofmt: the files above are not formatted"; exit 1; }
	$(GO) vet $(PKGS)
	$(GO) vet -tags ndpool_crash $(PKGS)
	$(GO) tool staticcheck $(PKGS)
	scripts/house-rules

unit: ## the tests
	$(GO) test $(PKGS)

race: ## the tests under the race detector, on the same-process twin
	$(GO) test -race -short $(PKGS)

crash: ## die after every shared store of every operation, and of the recovery
	$(GO) test -tags ndpool_crash -run Crash ./internal/shm ./pool

storm: ## many processes, random SIGKILL, SIGSTOP and SIGCONT; MINUTES=n for longer
	$(GO) run ./fuzz/storm $(if $(MINUTES),-minutes $(MINUTES),-minutes 0.25)

fuzz-short: ## each fuzz target for a few seconds; FUZZTIME=10m for longer
	scripts/fuzz $(or $(FUZZTIME),3s)

model: ## the protocol's rules, by spin, and the mutations that break them
	scripts/need spin spin -- docs/model/run

arm64-build: ## cross-build for arm64, and for systems that are not supported
	GOARCH=arm64 $(GO) build $(PKGS)
	GOARCH=arm64 $(GO) vet $(PKGS)
	GOOS=darwin $(GO) build $(PKGS)

test-arm64: ## the tests under qemu-user; the examples start themselves, which it cannot
	scripts/need qemu-aarch64-static qemu-user-static -- env GOARCH=arm64 NDPOOL_EMULATOR=qemu-aarch64-static $(GO) test -exec qemu-aarch64-static -short $$($(GO) list $(PKGS) | grep -v /examples/)

bench: ## benchmarks, medians of three; figures in bench/README.md
	scripts/bench

torture: ## the crash build with all pairs of deaths, in real processes; long
	NDPOOL_TORTURE=1 $(GO) test -timeout 2h -tags ndpool_crash -run Crash ./pool

soak: ## a storm of an hour, or MINUTES=n
	$(MAKE) storm MINUTES=$(or $(MINUTES),60)

generate: ## the size classes, the C header and the tables of docs/FORMAT.md, from arena/layout
	$(GO) generate ./...

clean: ## remove what was built
	rm -rf $(BIN) out
