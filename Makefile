# Everything one does in this repository. "make help" lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Go is often installed beside PATH; go generate and the tests call it by name.
export PATH := $(PATH):/usr/local/go/bin
export CGO_ENABLED := 1
export GO ?= go

# Flags for "make run", "make bench" and "make torture": make run ARGS="--listen 127.0.0.1:8090"
ARGS ?=
# What a migration changes, in words joined by "_".
NAME ?=
# Packages for "make test": make test PKG=./internal/vault/...
PKG ?= ./...

# The linter's cache holds paths: one of another checkout would name its files and miss our exceptions.
export GOLANGCI_LINT_CACHE := $(CURDIR)/.cache/golangci-lint
LINT := $(GO) tool -modfile=tools/go.mod golangci-lint

# A checkout that git refuses to read (another owner) still builds, without the commit in its version.
export GOFLAGS ?= $(shell git rev-parse HEAD >/dev/null 2>&1 || echo -buildvcs=false)

##@ Use

.PHONY: run
run: build ## Start everything on this machine: SQLite, embedded vault, Zoom emulator (ARGS= passes flags)
	@exec bin/tokenkeep dev $(ARGS)

.PHONY: build
build: toolchain ## Build bin/tokenkeep
	@$(GO) build -o bin/tokenkeep ./cmd/tokenkeep

##@ Check

.PHONY: test
test: setup vet lint generated suite ## Everything that CI runs (PKG= limits the packages of the suite)

.PHONY: setup
setup: toolchain ## Find, and as root on Debian install, what the tests need
	@scripts/setup

.PHONY: vet
vet: toolchain ## go vet
	@echo "vet"
	@$(GO) vet ./...

.PHONY: lint
lint: toolchain ## The linter, pinned in tools/go.mod, configured in .golangci.yml
	@echo "lint"
	@$(LINT) run

.PHONY: generated
generated: toolchain ## Fail when generated code is not what "make generate" makes
	@echo "generated code"
	@scripts/check-generated

.PHONY: vault
vault: toolchain ## Build the Vault server that the tests run against, once per machine (some six minutes on two cores)
	@echo "vault server of the tests"
	@$(GO) test -timeout 30m -run '^TestBuild$$' ./internal/vault/vaulttest/server >/dev/null || \
		$(GO) test -timeout 30m -run '^TestBuild$$' -v ./internal/vault/vaulttest/server

.PHONY: suite
suite: toolchain vault ## All tests with the race detector, on both databases
	@echo "tests"
	@$(GO) test -race -timeout 20m $(PKG) | sed -u '/\[no test files\]$$/d'

##@ Change

.PHONY: generate
generate: toolchain ## Regenerate ent/, graph/ and whatever else has a go:generate line
	@$(GO) generate ./...

.PHONY: migration
migration: toolchain ## Write the migration that ent/schema needs, for both databases: make migration NAME=what_changes
	@[ -n "$(NAME)" ] || { echo "say what changes: make migration NAME=what_changes" >&2; exit 1; }
	@$(GO) test ./internal/database -run TestMigrationsMatchSchema -count=1 -write $(NAME)

.PHONY: playground
playground: ## Rebuild the Playground's assets (needs Node and npm)
	@cd internal/server/playground/ui && npm ci --no-audit --no-fund && npm run build

.PHONY: format
format: toolchain ## Format the Go code as the linter wants it
	@$(LINT) fmt

.PHONY: bench
bench: toolchain ## Load the service over loopback and print its figures (ARGS= passes flags)
	@$(GO) run ./internal/bench $(ARGS)

.PHONY: torture
torture: toolchain vault ## Kill, freeze and cut the service for half an hour and compare it with the provider's ledger (ARGS= passes flags)
	@$(GO) run ./internal/torture $(ARGS)

.PHONY: clean
clean: ## Remove what was built
	@rm -rf bin .cache

##@ Help

.PHONY: help
help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Says what is missing before a compiler says it less clearly.
.PHONY: toolchain
toolchain:
	@command -v $(GO) >/dev/null || { echo "Go is missing: install $$(sed -n 's/^go /Go /p' go.mod) or newer from https://go.dev/dl/" >&2; exit 1; }
	@command -v $$($(GO) env CC) >/dev/null || { [ -n "$(filter test setup,$(MAKECMDGOALS))" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; } || \
		{ echo "A C compiler is missing (SQLite is compiled with cgo): install gcc and libc6-dev, or your system's developer tools" >&2; exit 1; }
