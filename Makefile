# leyden and lnget. `make help` lists the targets.

# What lnd's RPC needs to be complete; see ARCHITECTURE.md.
TAGS    := signrpc walletrpc chainrpc invoicesrpc peersrpc neutrinorpc
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
INFO    := github.com/leydenln/leyden/internal/buildinfo
LDFLAGS := -s -w -X $(INFO).version=$(VERSION) -X $(INFO).commit=$(COMMIT)
GO      := CGO_ENABLED=0 go
BUILD   := $(GO) build -tags "$(TAGS)"
# lnget links no lnd, and leaves gRPC's debug pages out: they are 0.4 MB. Nor does
# it need lnd's fork of protobuf, which keeps the linker from leaving out what
# nobody calls (golang/protobuf issue 1704): 3 MB. Where protobuf itself cannot
# be had, the fork will do.
LNGET   := $(GO) build -tags grpcnotrace
LNGETMOD = $(shell mkdir -p bin && sed '/protobuf-go-hex-display/d' go.mod > bin/lnget.mod && \
	cat go.sum cmd/lnget/protobuf.sum > bin/lnget.sum && \
	go list -modfile bin/lnget.mod -f '-modfile bin/lnget.mod' google.golang.org/protobuf/proto)

# Let's Encrypt's test authority, built beside our module.
PEBBLE  := github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.1

export GOTOOLCHAIN := local

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.PHONY: build
build: ## build bin/leyden, bin/lnget and bin/btcd (the test chain)
	$(BUILD) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/leyden
	$(LNGET) $(LNGETMOD) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/lnget
	$(GO) build -ldflags '-s -w' -o bin/ github.com/btcsuite/btcd

.PHONY: programs
programs: build ## what the tests run: bin/lnd and bin/pebble (a test authority) as well
	$(BUILD) -ldflags '-s -w' -o bin/ github.com/lightningnetwork/lnd/cmd/lnd
	GOBIN=$(CURDIR)/bin $(GO) install $(PEBBLE)

.PHONY: release
release: ## dist/leyden and dist/lnget, without this machine's paths
	$(BUILD) -trimpath -ldflags '$(LDFLAGS)' -o dist/ ./cmd/leyden
	$(LNGET) $(LNGETMOD) -trimpath -ldflags '$(LDFLAGS)' -o dist/ ./cmd/lnget

.PHONY: demo
demo: build ## the whole commerce loop on a private network: real lnd, real payments
	bin/leyden demo --once

.PHONY: test
test: lint unit itest ## everything that must be green: lint, unit tests, real nodes

.PHONY: unit
unit: programs ## all but the tests on real nodes, and the race detector where it counts
	LEYDEN_TEST_BIN=$(CURDIR)/bin $(GO) test -timeout 20m -tags "$(TAGS)" $$(go list ./... | grep -v /itest)
	LEYDEN_TEST_BIN=$(CURDIR)/bin CGO_ENABLED=1 go test -timeout 20m -race $(RACE)

.PHONY: itest
itest: programs ## the tests on real nodes
	LEYDEN_TEST_BIN=$(CURDIR)/bin $(GO) test -timeout 40m ./itest/...

.PHONY: flood
flood: programs ## 50,000 unpaid requests at a gate on real nodes, from 10 clients and from 10,000 addresses, while 20 buyers buy
	LEYDEN_FLOOD=full LEYDEN_TEST_BIN=$(CURDIR)/bin $(GO) test -count=1 -timeout 30m -v -run TestFlood ./itest

.PHONY: scenario
scenario: programs ## a node's whole life, with and without a signer, on both backends, in both kinds of channel (half of it is part of make itest)
	LEYDEN_SCENARIO=full LEYDEN_TEST_BIN=$(CURDIR)/bin $(GO) test -count=1 -timeout 20m -v -run TestScenario ./itest

# Packages with goroutines of their own. None links lnd's root package.
RACE := ./l402/... ./internal/front ./internal/cert ./internal/front/macaroon ./internal/gate/... ./internal/fetch/... ./internal/store/... ./internal/lnd ./internal/daemon ./internal/account ./internal/audit ./internal/policy ./internal/guard ./internal/guardpost ./lnc/... ./internal/mailbox ./internal/acme

.PHONY: lint
lint: ## gofmt, go vet, staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet -tags "$(TAGS)" ./...
	$(GO) tool staticcheck -tags "$(TAGS)" ./...

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (default 20s)
	@./scripts/fuzz $(or $(FUZZTIME),20s)

.PHONY: bench
bench: programs ## the figures of bench/README.md
	$(GO) run ./bench
	$(GO) run ./bench/ledger
	$(GO) run ./bench/relay
	$(GO) run ./bench/lnc

# Where lnd keeps lightning.proto, which lit-accounts.proto imports.
LNRPC = $(shell go list -m -f '{{.Dir}}' github.com/lightningnetwork/lnd)/lnrpc

.PHONY: torture
torture: build ## kill a node under load ROUNDS times (default 10), and the ledger alone ten times as often
	LEYDEN_TORTURE_ROUNDS=$$(( 10 * $(or $(ROUNDS),10) )) $(GO) test -count=1 -timeout 60m -v -run Torture ./internal/account
	$(GO) run ./itest/torture -rounds $(or $(ROUNDS),10)

.PHONY: faults
faults: build ## kill, stop, slow down and cut off a node's signer ROUNDS times under load (default 10), then during LIVES of a node (default 1)
	$(GO) run ./itest/faults -rounds $(or $(ROUNDS),10) -lives $(or $(LIVES),1)

.PHONY: man
man: ## the man pages of lnget, in docs/man
	rm -f docs/man/*.1
	$(GO) run ./internal/cli/manpages docs/man

.PHONY: soak
soak: build ## a gate at half of maximum load for MINUTES (default 10), with restarts of gate, backend and nodes
	$(GO) run ./itest/soak -minutes $(or $(MINUTES),10)

.PHONY: generate
generate: man ## regenerate the protobuf stubs (needs protoc), the SQL queries and the man pages
	cd internal/store/guarddb && $(GO) run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.30.0 generate
	GOBIN=$(CURDIR)/bin go install google.golang.org/protobuf/cmd/protoc-gen-go
	GOBIN=$(CURDIR)/bin go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.5.1
	PATH=$(CURDIR)/bin:$$PATH protoc -I internal/rpc/lndwire --go_out=. \
		--go_opt=module=github.com/leydenln/leyden internal/rpc/lndwire/lndwire.proto
	PATH=$(CURDIR)/bin:$$PATH protoc -I internal/rpc/litrpc -I $(LNRPC) $(GRPC_OUT) lit-accounts.proto lit-sessions.proto
	PATH=$(CURDIR)/bin:$$PATH protoc -I internal/rpc/leydenv1 $(GRPC_OUT) leyden.proto
	PATH=$(CURDIR)/bin:$$PATH protoc -I lnc/hashmailrpc $(GRPC_OUT) hashmail.proto

GRPC_OUT = --go_out=. --go_opt=module=github.com/leydenln/leyden \
	--go-grpc_out=. --go-grpc_opt=module=github.com/leydenln/leyden

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
