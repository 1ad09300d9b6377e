# What a developer runs; .ci/run runs the same targets. `make check` before a commit, `.ci/run` before a release.

GO       ?= go
FUZZTIME ?= 30s
TORTURE  ?= 1000
VULN     ?= golang.org/x/vuln/cmd/govulncheck@v1.8.0
LINT     := $(CURDIR)/internal/tools/bin/golangci-lint

# Modules beside the root, as far as they are there.
SUBMODULES := $(patsubst %/go.mod,%,$(wildcard e2e/go.mod bench/go.mod))

# The packages in which goroutines meet: the rest is sequential by design (docs/adr/0002-sans-io-verbs.md).
CONCURRENT := ./internal/netio ./internal/netsim ./media ./ice/turn/turnserver ./ice/mdns/mdnsio ./dtls/dtlsio ./examples

.PHONY: check test race fuzz cover bench interop torture bars bogo vuln tidy vet lint cross

check: vet lint test ## everything that a change must pass at once

vet:
	@test -z "$$(git ls-files -z -- '*.go' | xargs -0 gofmt -l | tee /dev/stderr)"
	$(GO) vet ./...
	@for m in $(SUBMODULES); do echo "$(GO) -C $$m vet ./..."; $(GO) -C $$m vet ./... || exit 1; done

$(LINT): internal/tools/go.mod
	GOBIN=$(dir $@) $(GO) -C internal/tools install github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

lint: $(LINT)
	$(LINT) run --allow-parallel-runners ./...
	@for m in $(SUBMODULES); do echo "golangci-lint: $$m"; (cd $$m && $(LINT) run --allow-parallel-runners --config $(CURDIR)/.golangci.yml ./...) || exit 1; done

test: ## includes internal/archtest
	$(GO) test ./...

race:
	$(GO) test -race -shuffle=on . $(addsuffix /...,$(CONCURRENT))

fuzz: ## every target, FUZZTIME each
	FUZZTIME=$(FUZZTIME) .ci/fuzz

cover:
	$(GO) test -coverpkg=./... -coverprofile=coverage.out ./...
	$(GO) tool cover -func=coverage.out | tail -n 1

cross: ## nothing needs cgo, and nothing is for one system only
	.ci/cross

bench: ## this library and pion/webrtc side by side: make bench ARGS='-case dc-16KiB'
	$(GO) -C bench run . $(ARGS)

interop: ## real peers from the distribution; .ci/run has the list of packages
	$(GO) -C e2e test -count=1 -timeout 15m -v ./...

torture: ## the simulated tests with TORTURE seeds each
	PARLEY_TORTURE=$(TORTURE) $(GO) test -count=1 -timeout 60m ./...

bars: test interop bench ## the figures that docs/bench.md and the issues name
	PARLEY_TORTURE=20 $(GO) test -count=1 -timeout 60m -v -run 'TestImpairedPath|TestFilledQueue|TestFairness|TestPriorities' ./sctp

bogo: ## BoringSSL's DTLS tests: make bogo BORINGSSL=checkout
	$(GO) -C $(BORINGSSL) test -c -o $(CURDIR)/bogo-runner.test ./ssl/test/runner
	$(GO) build -o $(CURDIR)/bogo-shim.test ./dtls/bogo
	cd $(BORINGSSL)/ssl/test/runner && $(CURDIR)/bogo-runner.test -shim-path $(CURDIR)/bogo-shim.test -shim-config $(CURDIR)/dtls/bogo/config.json -allow-unimplemented -test '*DTLS*'

vuln:
	$(GO) run $(VULN) ./...

tidy: ## reports, and changes nothing; run `go mod tidy` to mend
	$(GO) mod tidy -diff
	@for m in $(SUBMODULES); do echo "$(GO) -C $$m mod tidy -diff"; $(GO) -C $$m mod tidy -diff || exit 1; done
