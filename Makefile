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
ACTIONLINT    := $(TOOLS)/actionlint-v1.7.12

.PHONY: help
help: ## print this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/kizo and bin/kizod
	@$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/kizo ./cmd/kizod

.PHONY: man
man: ## write the man pages and completions into bin/man and bin/completions
	@mkdir -p bin/completions
	@$(GO) run -ldflags '$(LDFLAGS)' ./cmd/kizo man bin/man
	@$(GO) run -ldflags '$(LDFLAGS)' ./cmd/kizod man bin/man
	@for shell in bash zsh fish; do $(GO) run ./cmd/kizo completion $$shell > bin/completions/kizo.$$shell; done
	@$(GO) run ./cmd/kizo completion powershell > bin/completions/kizo.ps1
	@for shell in bash zsh fish; do $(GO) run ./cmd/kizod completion $$shell > bin/completions/kizod.$$shell; done

.PHONY: deps
deps: ## install PostgreSQL and Redis if they are missing
	@deploy/prerequisites.sh

.PHONY: prometheus
prometheus: ## put Prometheus into bin/tools for the tests, if the machine has none
	@deploy/prometheus/fetch.sh

.PHONY: demo
demo: deps build ## show the main job: two users, a deposit, a transfer, an audit
	@deploy/demo.sh

.PHONY: test
test: deps prometheus ## run every test, on a real PostgreSQL and Redis
	$(GO) test -count=1 -timeout 10m ./...

.PHONY: race
race: deps ## run the tests of concurrent packages under the race detector
	$(GO) test -race -count=1 -timeout 15m ./server/... ./client/... ./cmd/kizo/...

.PHONY: test-web
test-web: deps build ## check the landing page and /docs in Chromium, and take their pictures; installs Chromium and npm
	@deploy/web.sh docs

.PHONY: test-books
test-books: deps ## check exports with hledger, ledger, beancount and an OFX parser; installs them
	@deploy/books.sh

.PHONY: test-stress
test-stress: deps ## run the tests of PKG=./… RUNS= times (20) beside busy loops, to find those that depend on time
	@deploy/stress.sh $(or $(PKG),$(error which package? PKG=./server/hashworker)) $(or $(RUNS),20)

.PHONY: test-upgrade
test-upgrade: deps ## upgrade two kizod of an earlier commit to this tree, under load; FROM= (HEAD~1)
	@deploy/upgrade.sh $(or $(FROM),HEAD~1)

.PHONY: verify
verify: lint workflows ## check lint, formatting, go.mod, generated code, error codes, words and known vulnerabilities
	@deploy/verify.sh
	@deploy/words.sh
	@deploy/vulnerabilities.sh

.PHONY: words
words: ## check words and spelling, comments, and references in documents
	@deploy/words.sh

.PHONY: lint
lint: $(GOLANGCI_LINT) ## run golangci-lint, with the import rules
	$(GOLANGCI_LINT) run ./...

.PHONY: workflows
workflows: $(ACTIONLINT) ## check the workflows of GitHub
	@$(ACTIONLINT)

.PHONY: fuzz
fuzz: deps ## run each fuzz test for FUZZTIME= (20s)
	@deploy/fuzz.sh $(or $(FUZZTIME),20s)

.PHONY: generate
generate: ## generate code again
	$(GO) generate ./...

.PHONY: bench-ledger
bench-ledger: deps ## compare group commit with one transaction per transfer, in one run
	$(GO) run ./loadtest/bench run ledger

SCENARIO ?= k6-profile
LOAD      = $(if $(DURATION),-duration $(DURATION)) $(if $(USERS),-users $(USERS))

.PHONY: loadtest
loadtest: deps $(if $(filter go-%,$(SCENARIO)),,$(K6)) ## run a load test and an audit; SCENARIO= k6-… or go-… (go-capacity, …), DURATION=, USERS=
	$(GO) run ./loadtest/bench run $(SCENARIO:go-%=%) $(if $(filter go-%,$(SCENARIO)),,-k6 $(K6)) $(LOAD)

.PHONY: chaos
chaos: deps ## make a fault run: kills, crashes, cut connections; SEED= repeats one, DURATION= sets its length
	$(GO) run ./loadtest/chaos -duration $(or $(DURATION),5m) -seed $(or $(SEED),0)

.PHONY: chaos-mutants
chaos-mutants: deps ## plant one bug after the other; its test or a fault run must catch it
	$(GO) run ./loadtest/chaos -mutants -seed $(or $(SEED),0)

.PHONY: chaos-scenarios
chaos-scenarios: deps ## make fault runs with one kind of fault each, and check the promise about it
	$(GO) run ./loadtest/chaos -scenarios -seed $(or $(SEED),0)

.PHONY: test-ha
test-ha: deps ## kill primaries of PostgreSQL and Redis under load, FAILOVERS= times each (10); ONLY= some of it; root
	@deploy/ha/cluster.sh install
	$(GO) run ./loadtest/chaos -failover -failovers $(or $(FAILOVERS),10) -only '$(ONLY)' -rate 140 -clients 128 -seed $(or $(SEED),0)

.PHONY: test-restore
test-restore: deps ## practice restores: a dump, a physical backup, an earlier moment, and kizod backup check
	KIZO_TEST_RESTORE=1 $(GO) test -count=1 -timeout 15m -run 'TestRestore|TestBackupCheck' ./cmd/kizod

.PHONY: test-local
test-local: deps build ## start the services of compose.yaml as processes (deploy/local.sh), pay through nginx, and stop them
	KIZO_TEST_LOCAL=1 $(GO) test -count=1 -timeout 10m -run '^TestLocalServices$$' ./cmd/kizod

.PHONY: payout-kills
payout-kills: deps ## kill kizo pay at 50 random moments (KILLS=), and its server once; SEED= repeats one
	$(GO) test -count=1 -timeout 30m -run TestPayoutSurvivesKills ./cmd/kizo -pay-kills $(or $(KILLS),50) -pay-seed $(or $(SEED),1)

SIZES ?= 100000,1000000

.PHONY: bench-growth
bench-growth: deps ## measure what slows down as the books grow; SIZES= postings, 10000000 takes about 15 minutes
	$(GO) run ./loadtest/bench run growth -sizes $(SIZES)

.PHONY: screenshots
screenshots: deps build ## take the pictures in docs from the running program
	$(GO) run ./deploy/screenshots
	for scheme in dark light; do cp docs/screens/wallet-120x40-$$scheme.png server/web/assets/dashboard-$$scheme.png; done

.PHONY: snapshot
snapshot: $(GORELEASER) deps ## build archives and packages of this tree in dist/, and test them
	$(GORELEASER) release --snapshot --clean --skip=publish,sign
	KIZO_DIST=$(CURDIR)/dist $(GO) test -count=1 -run 'TestPackages|TestPackageFiles' ./cmd/kizod ./deploy

.PHONY: goreleaser
goreleaser: $(GORELEASER) ## install goreleaser in bin/tools

.PHONY: reproducible
reproducible: $(GORELEASER) ## build the last commit twice, and compare every byte; PLATFORM=linux/amd64 builds for that one
	@deploy/package/reproducible.sh

.PHONY: clean
clean: ## remove build results
	rm -rf bin dist

$(GOLANGCI_LINT):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	@mv $(TOOLS)/golangci-lint $@

$(GORELEASER):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) $(GO) install github.com/goreleaser/goreleaser/v2@v2.15.1
	@mv $(TOOLS)/goreleaser $@

$(ACTIONLINT):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) $(GO) install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
	@mv $(TOOLS)/actionlint $@

$(K6):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) $(GO) install go.k6.io/k6@v1.8.1
	@mv $(TOOLS)/k6 $@
