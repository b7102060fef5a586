# bakeoff: make demo runs a bake-off, make test proves the program.
SHELL := /bin/bash
.DELETE_ON_ERROR:
GO ?= go
BIN := bin/bakeoff
# What tests need beside what a run needs.
TEST_PACKAGES := mariadb-server nginx-light libmariadb-dev pkg-config python3-venv python3-dev gcc

.PHONY: help build demo test test-fast lint deps test-deps clean bench-data bench-engine fuzz

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /: /'

build: $(BIN) ## build the program

$(BIN): $(shell find . -name '*.go' -o -path './targets/*' -type f -o -path './plans/*' -type f -o -name '*.tmpl' | sed 's/ /\\ /g') go.mod go.sum
	$(GO) build -o $@ .

deps: $(BIN) ## install the Debian packages that the demo needs and this machine lacks
	@scripts/install-missing $$($(BIN) doctor --packages demo)

demo: deps ## prepare, run plans/demo.yaml, print the result
	$(BIN) run demo

test-deps: $(BIN) ## install the Debian packages that the tests need and this machine lacks
	@scripts/install-missing $$(scripts/missing-packages $(TEST_PACKAGES))

lint: ## formatting, vet, staticcheck
	@scripts/lint

test: test-deps lint ## everything, with few repeats and scaled sizes
	$(GO) test -count=1 -timeout 18m -p 2 ./...

clean: ## remove what was built
	rm -rf bin
