# Kizo. `make help` lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO            ?= go
VERSION       ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS       := -s -w -X main.version=$(VERSION)
TOOLS         := $(CURDIR)/bin/tools
GOLANGCI_LINT := $(TOOLS)/golangci-lint-v2.15.0
GORELEASER    := $(TOOLS)/goreleaser-v2.15.1
K6            := $(TOOLS)/k6-v1.8.1

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## bin/kizo and bin/kizod
	@$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/kizo ./cmd/kizod

.PHONY: deps
deps: ## install PostgreSQL and Redis if they are missing
	@deploy/prerequisites.sh

.PHONY: prometheus
prometheus: ## Prometheus in bin/tools, for the tests, if the machine has none
	@deploy/prometheus/fetch.sh

.PHONY: demo
demo: deps build ## two users, a deposit, a transfer, an audit: the main job, from nothing
	@deploy/demo.sh

.PHONY: test
test: deps prometheus ## every test, on real PostgreSQL and Redis
	$(GO) test -count=1 -timeout 10m ./...

.PHONY: race
race: deps ## the tests of what runs concurrently, under the race detector
	$(GO) test -race -count=1 -timeout 15m ./server/... ./client/... ./cmd/kizo/...

.PHONY: test-stress
test-stress: deps ## the tests of PKG=./… RUNS= times (20) beside busy loops: which of them depend on time?
	@deploy/stress.sh $(or $(PKG),$(error which package? PKG=./server/hashworker)) $(or $(RUNS),20)

.PHONY: verify
verify: lint ## generated code, go.mod, formatting, lint, known vulnerabilities and error codes are in order
	@deploy/verify.sh
	@deploy/vulnerabilities.sh

.PHONY: words
words: ## words, comments and references of documents are in order
	@deploy/words.sh

.PHONY: lint
lint: $(GOLANGCI_LINT) ## golangci-lint, with the import rules
	$(GOLANGCI_LINT) run ./...

.PHONY: generate
generate: ## write the generated code again
	$(GO) generate ./...

.PHONY: bench-ledger
bench-ledger: deps ## group commit against one transaction per transfer, in one run
	$(GO) run ./loadtest/bench run ledger

SCENARIO ?= k6-profile
LOAD      = $(if $(DURATION),-duration $(DURATION)) $(if $(USERS),-users $(USERS))

.PHONY: loadtest
loadtest: deps $(if $(filter go-%,$(SCENARIO)),,$(K6)) ## load on a Kizo of its own, and an audit; SCENARIO= k6-… or go-… (go-capacity, …), DURATION=, USERS=
	$(GO) run ./loadtest/bench run $(SCENARIO:go-%=%) $(if $(filter go-%,$(SCENARIO)),,-k6 $(K6)) $(LOAD)

.PHONY: chaos
chaos: deps ## a fault run: kills, crashes, cut lines; SEED= repeats one, DURATION= sets its length
	$(GO) run ./loadtest/chaos -duration $(or $(DURATION),5m) -seed $(or $(SEED),0)

.PHONY: chaos-mutants
chaos-mutants: deps ## plant one bug after the other: its test or the fault run must catch it
	$(GO) run ./loadtest/chaos -mutants -seed $(or $(SEED),0)

.PHONY: chaos-scenarios
chaos-scenarios: deps ## one kind of fault after the other, and what Kizo promises about it
	$(GO) run ./loadtest/chaos -scenarios -seed $(or $(SEED),0)

SIZES ?= 100000,1000000

.PHONY: bench-growth
bench-growth: deps ## what slows down as the books grow; SIZES= postings, 10000000 takes half an hour
	$(GO) run ./loadtest/bench run growth -sizes $(SIZES)

.PHONY: screenshots
screenshots: deps build ## the pictures in docs, taken from the running program
	$(GO) run ./deploy/screenshots

.PHONY: snapshot
snapshot: $(GORELEASER) ## release archives of this tree, in dist/
	$(GORELEASER) release --snapshot --clean --skip=publish

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist

$(GOLANGCI_LINT):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	@mv $(TOOLS)/golangci-lint $@

$(GORELEASER):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) $(GO) install github.com/goreleaser/goreleaser/v2@v2.15.1
	@mv $(TOOLS)/goreleaser $@

$(K6):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) $(GO) install go.k6.io/k6@v1.8.1
	@mv $(TOOLS)/k6 $@
