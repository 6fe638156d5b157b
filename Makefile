# ARGS reaches the command of test, cover and bench: make test ARGS='-run Close -v'
ARGS =
# T is how long fuzz runs each target, CUTS how often chaos cuts.
T = 30s
CUTS = 1000

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

bin := $(CURDIR)/.bin
modules := . bench e2e fuzz/differential tools
linted := . bench e2e fuzz/differential
steps := lint cross test fuzz e2e parity chaos hostile-smoke soak-smoke demo bench-smoke vuln-if-online
# Directories and their packages with fuzz targets.
fuzzed := .:./fuzz .:./fallback .:./resume .:./internal/clientaddr fuzz/differential:.

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: fmt
fmt: ## Format the Go files and tidy the modules
	gofmt -s -w .
	@for m in $(modules); do (cd $$m && go mod tidy); done

.PHONY: lint
lint: $(bin)/golangci-lint ## Check formatting, modules, vet and golangci-lint
	@files=$$(gofmt -s -l .); [[ -z $$files ]] || { printf 'make fmt would change:\n%s\n' "$$files" >&2; exit 1; }
	@for m in $(modules); do echo "$$m: go mod tidy -diff"; (cd $$m && go mod tidy -diff); done
	@for m in $(linted); do echo "$$m: go vet"; (cd $$m && go vet ./...); done
	@failed=; for m in $(linted); do echo "$$m: golangci-lint"; \
		(cd $$m && $(bin)/golangci-lint run --allow-serial-runners ./...) || failed+=" $$m"; \
	done; [[ -z $$failed ]] || { echo "golangci-lint has findings in:$$failed" >&2; exit 1; }

.PHONY: test
test: ## Run unit, conformance and interop tests under the race detector
	go test -race $(ARGS) ./...
	go test $(ARGS) ./internal/sock ./internal/cork ./wsconn # without: internal/sock is another then
	cd bench && go test ./...
	cd fuzz/differential && go test -race $(ARGS) ./...
	cd e2e && go test -race $(ARGS) ./internal/... ./interop/... ./chaos/... ./soak/... ./hostile/...

.PHONY: race
race: test ## The same as test

.PHONY: fuzz
fuzz: ## Fuzz each target for T (30s), one at a time
	@for dp in $(fuzzed); do (cd $${dp%%:*}; p=$${dp#*:}; \
		targets=$$(go test -list '^Fuzz' $$p | grep '^Fuzz' || true); \
		[[ -n $$targets ]] || { echo "no fuzz target in $$dp" >&2; exit 1; }; \
		for f in $$targets; do \
			echo "== $$dp $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(T) -fuzzminimizetime 10x $$p; \
		done); \
	done

.PHONY: bench
bench: ## Compare with direct gRPC and others, and fail if a bound is missed by more than the noise (ARGS=-json for machines)
	cd bench && go run . -check $(ARGS)

.PHONY: scale
scale: ## Show how the cost of a call and of idleness grows with streams and tunnels, against its bounds
	cd bench && go run . -scale -check $(ARGS)

.PHONY: bench-smoke
bench-smoke: ## Run every benchmark very briefly, to see that it runs
	cd bench && go run . -smoke && go run . -scale -smoke

.PHONY: e2e
e2e: proxies ## Run RPCs through real proxies, installed if missing, and odd peers
	cd e2e && go test -count=1 -timeout 20m ./nginx/... ./cuts/... ./matrix/... ./inner/...

.PHONY: parity
parity: ## Hold culvert against plain grpc-go in some 150 environments, and print the table
	@cd e2e/parity && go test -count=1 -timeout 10m -args -print

.PHONY: chaos
chaos: ## Cut a tunnel under load, 1,000 times (CUTS), in every way
	cd e2e && go run ./chaos -cuts $(CUTS)

.PHONY: hostile
hostile: ## Attack a server under load in every way, and show what its callers notice
	cd e2e && go run ./hostile $(ARGS)

.PHONY: hostile-smoke
hostile-smoke:
	cd e2e && go run ./hostile -smoke

.PHONY: soak
soak: ## Ten minutes of mixed load and cuts: nothing may grow
	cd e2e && go run ./soak $(ARGS)

.PHONY: soak-smoke
soak-smoke:
	cd e2e && go run ./soak -for 30s

.PHONY: matrix
matrix: proxies ## Print which way is taken through which proxy
	@cd e2e/matrix && go test -count=1 -timeout 20m -args -print

.PHONY: proxies
proxies:
	@.ci/apt nginx nginx-light
	@.ci/apt squid squid-openssl
	@.ci/apt haproxy haproxy
	@.ci/apt caddy caddy

# A block counts as covered if any package's tests reach it.
by_package := 'NR > 1 { n[$$1] = $$2; hit[$$1] += $$3 } \
	END { for (b in n) { p = b; sub("/[^/]*$$", "", p); all[p] += n[b]; if (hit[b]) got[p] += n[b] } \
	for (p in all) printf "%-28s %5.1f %%\n", p, 100 * got[p] / all[p] }'

.PHONY: cover
cover: ## Show each package's coverage; the profile is .cover/profile
	@mkdir -p .cover
	go test $(ARGS) -coverpkg=./... -coverprofile=.cover/profile ./... >.cover/log || { cat .cover/log; exit 1; }
	@awk $(by_package) .cover/profile | sort
	@go tool cover -func=.cover/profile | tail -n 1

.PHONY: demo
demo: ## Show native gRPC failing and the tunnel working
	go run ./cmd/culvert demo

.PHONY: cross
cross: ## Build and vet for each system and processor, and test frames with 32 bits
	@for target in linux/amd64 linux/arm64 linux/386 linux/arm darwin/amd64 darwin/arm64 windows/amd64 windows/arm64; do \
		echo "$$target"; export CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/}; \
		go build ./...; go vet ./...; \
	done
	CGO_ENABLED=0 GOARCH=386 go test -run 'Fuzz|Declared|Window|Frame|Violation|Hostile' ./mux ./wsconn ./resume ./fuzz/...

.PHONY: vuln
vuln: $(bin)/govulncheck ## Look for known vulnerabilities, at vuln.go.dev
	@for m in $(linted); do echo "$$m: govulncheck"; (cd $$m && $(bin)/govulncheck ./...); done

# CI may have no way there.
.PHONY: vuln-if-online
vuln-if-online: $(bin)/govulncheck
	@if curl -fsS -m 20 -o /dev/null https://vuln.go.dev/index/modules.json; then $(MAKE) --no-print-directory vuln; \
		else echo "NOT CHECKED for vulnerabilities: no way to vuln.go.dev" >&2; fi

.PHONY: ci
ci: T = 3s
ci: CUTS = 150
ci: ## Run all that CI runs and say how long each step took
	@SECONDS=0; took=; for step in $(steps); do \
		echo "==== make $$step"; start=$$SECONDS; \
		$(MAKE) --no-print-directory $$step T=$(T) CUTS=$(CUTS) || { echo "==== make $$step failed after $$((SECONDS - start)) s" >&2; exit 1; }; \
		printf -v took '%s%-12s %5d s\n' "$$took" $$step $$((SECONDS - start)); \
	done; printf '%s%-12s %5d s\n' "$$took" total $$SECONDS

$(bin)/golangci-lint: package := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(bin)/govulncheck: package := golang.org/x/vuln/cmd/govulncheck

$(bin)/%: tools/go.mod
	@mkdir -p $(bin)
	cd tools && go build -o $@ $(package)
	@touch $@
