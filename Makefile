# bakeoff: make demo runs a bake-off, make test proves the program.
SHELL := /bin/bash
.DELETE_ON_ERROR:
GO ?= go
BIN := bin/bakeoff
SEED := 1
# A program that is linked to no library runs in any image (docs/kubernetes.md).
export CGO_ENABLED ?= 0
# What tests need in addition to what a run needs.
TEST_PACKAGES := mariadb-server nginx-light libmariadb-dev pkg-config python3-venv python3-dev gcc

.PHONY: help build demo page pictures test test-mysql test-jmeter test-page test-collectors test-lies test-kube-api test-kube test-kube-laptop picture readme example bench-report seed-jmeter mutants lint deps test-deps clean race bench-data bench-engine bench-stall bench-fleet bench-turns bench-trust bench-redraws bench-page bench-demos fuzz \
	test-long-stall test-long-kill test-long-data test-long-record test-long-contract test-long-engine test-long-accuse test-long-accuse-2 \
	test-long-fleet test-long-ab test-long-limits test-long-capacity test-long-turns test-long-program test-long-lies

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /: /'

build: $(BIN) ## build the program

$(BIN): $(shell find . -name '*.go' -o -path './targets/*' -type f -o -path './plans/*' -type f -o -path './internal/report/page/*' -type f -o -path './internal/dashboard/page/dist/*' -type f -o -name '*.tmpl' | sed 's/ /\\ /g') go.mod go.sum
	$(GO) build -o $@ .

deps: $(BIN) ## install the Debian packages that the demo needs and this machine lacks
	@scripts/install-missing $$($(BIN) doctor --packages demo)

demo: deps ## prepare, run plans/demo.yaml, print the result
	$(BIN) run demo

test-deps: $(BIN) ## install the Debian packages that the tests need and this machine lacks
	@scripts/install-missing $$(scripts/missing-packages $(TEST_PACKAGES))

page: ## what a browser gets from bakeoff dashboard, from internal/dashboard/page
	@GO=$(GO) scripts/page

PICTURES := $(CURDIR)/bin/pictures
pictures: ## screenshots of every view of the live page, on a desk, on a phone and dark, into bin/pictures
	@mkdir -p $(PICTURES)
	BAKEOFF_PAGE=1 BAKEOFF_PICTURES=$(PICTURES) $(GO) test -count=1 -run BrowserMedia ./internal/dashboard

lint: ## formatting, vet, staticcheck, unreached code, plain English
	@scripts/lint

test: test-deps lint ## everything, with few repeats and scaled sizes
	@GO=$(GO) scripts/gotest -timeout 18m ./...
	$(GO) test -C tools -count=1 ./...

mutants: test-deps ## 40 changes of the code drawn from SEED, the packages' own tests on each: at least 36 are caught (an hour or two)
	scripts/mutants -seed $(SEED) -n 40 -least 36

test-mysql: test-deps ## the database and all targets on a real MySQL server, fetched from Debian's unstable suite; SKIPPED where it cannot be
	@GO=$(GO) scripts/test-mysql

test-jmeter: test-deps ## a real JMeter: phases, traps, whole runs, agreement with the native engine; SKIPPED without Java
	@GO=$(GO) scripts/test-jmeter

test-page: $(BIN) ## the page of a run in a real Chromium, in every medium; SKIPPED where there is none
	@GO=$(GO) scripts/test-page

test-collectors: test-deps ## runs written to a real InfluxDB and VictoriaMetrics, and read back; SKIPPED without them
	@GO=$(GO) scripts/test-collectors

picture: test-deps ## docs/collectors.svg: a panel's data, from a real InfluxDB's answer to its query after a real run
	BAKEOFF_COLLECTORS=1 BAKEOFF_PICTURE=1 $(GO) test -count=1 -run TestCollectedPicture ./internal/cli

test-lies: test-deps ## targets that lie, in real runs: each lie is refused by its name, or comes to nothing
	@GO=$(GO) scripts/test-lies

test-kube-api: ## what a cluster's API server takes: validation, Pod Security, rights; needs KUBECONFIG, SKIPPED without one
	@GO=$(GO) scripts/test-kube-api

test-kube: ## whole runs in a real cluster of three nodes, and its faults: what ends within BAKEOFF_KUBE_MINUTES (5); needs KUBECONFIG and a registry, SKIPPED without them
	@GO=$(GO) scripts/test-kube

test-kube-laptop: ## a cluster's run as its laptop sees it: Ctrl-C, a laptop and a controller that are killed; needs what test-kube needs
	@GO=$(GO) scripts/test-kube KubeLaptop

readme: $(BIN) ## the result and picture in README.md, from the run directory RUN
	@scripts/readme $(RUN)

example: ## an example in docs/method.md from the run directory RUN: of a capacity, of shares, or of costs and limits
	@[ -n "$(RUN)" ] || { echo "usage: make example RUN=<run directory>" >&2; exit 2; }
	BAKEOFF_RUN=$(abspath $(RUN)) $(GO) test -count=1 -v -run TestWriteExamples ./internal/report

seed-jmeter: $(BIN) ## the seed's deployment driven by JMeter, as the seed did it
	@scripts/install-missing $$($(BIN) doctor --packages seed-jmeter)
	$(BIN) run seed-jmeter

# One subject's full counts each, at most 45 minutes on 2 cores.
LONG = BAKEOFF_LONG=1 $(GO) test -count=1 -v -timeout 45m

test-long-lies: test-deps ## 40 short trials of the shipped targets on a quiet machine: none is refused for what a lie would be (15 minutes)
	$(LONG) -run LongHonest ./internal/cli

test-long-kill: test-deps ## 50 kills of the controller, and of whole runs
	$(LONG) -run 'LongKill' ./internal/platform/local ./internal/cli

test-long-jmeter: test-deps ## make test-jmeter, and a short run of plans/seed-jmeter.yaml
	@BAKEOFF_LONG=1 GO=$(GO) scripts/test-jmeter

test-long-data: test-deps ## 20 interrupted fills
	$(LONG) -run 'Kill|Interrupt' ./internal/database

test-long-record: ## cut and damaged run directories
	$(LONG) ./internal/record

test-long-contract: test-deps ## every target and every planted cheat
	$(LONG) ./internal/target ./internal/contract

test-long-engine: ## books and schedules of the load engines
	$(LONG) -skip Stall ./internal/load

test-long-stall: test-deps ## 2 s stalls in 60 s: engines and program, 10 to 1,000 connections, 1 and 4 agents, nginx stopped
	$(LONG) -run Stall ./internal/load
	$(LONG) -run LoadStall ./internal/cli

test-long-accuse: test-deps ## one agent disturbed in every way: flagged, with the cause, 20 of 20 each
	$(LONG) -run 'TestLongAccuse/^1_agents$$' ./internal/cli

test-long-accuse-2: test-deps ## the same with two agents
	$(LONG) -run 'TestLongAccuse/^2_agents$$' ./internal/cli

test-long-fleet: ## lost, frozen and cut off agents 50 times each; memory over 10^9 requests
	$(LONG) ./internal/fleet
	$(LONG) -run Memory ./internal/load ./internal/measure ./internal/controller
	$(LONG) -count=50 -run 'Frozen|Freeze|Killed|Partition|Flap|Cut|Gone|Zombie|Another|End|BadWay' ./internal/fleet

test-long-ab: test-deps ## two versions of one target: 3 real comparisons with a fifth more work, 3 with the same
	$(LONG) -run LongAB ./internal/cli

test-long-limits: test-deps ## what limits a target, of real processes: seven kinds, at full load and just below it
	$(LONG) -run LongLimits ./internal/cli

test-long-capacity: ## 100 simulated runs of each kind of server whose capacity is known
	$(LONG) ./internal/capacity

test-long-turns: test-deps ## turns: servers of known throughput, the record of an hour with 20 targets, 8 real targets and their pauses
	$(LONG) -run SlicesSayTheTruth ./internal/load
	$(LONG) -run RecordOfAnHour ./internal/controller
	$(LONG) -run 'Freeze|Frozen' ./internal/platform/local
	$(LONG) -run LongTurns ./internal/cli

test-long-program: test-deps ## the program as users run it
	$(LONG) -skip 'LoadStall|LongAccuse|LongAB|LongLimits|LongHonest|LongTurns' ./internal/cli

bench-data: test-deps ## a million rows against the database's own client, and from the cache
	BAKEOFF_BENCH=1 $(GO) test -count=1 -v -timeout 45m -run Bench ./internal/database

# Peers that Debian has; what else is not installed is skipped, with the line that installs it.
PEERS := wrk hey nghttp2-client
BENCH = BAKEOFF_BENCH=1 $(GO) test -count=1 -v -timeout 45m

bench-engine: test-deps ## cost compared with wrk, h2load and other generators on the same nginx; pacing; idle connections; into docs/engine.md
	@scripts/install-missing $$(scripts/missing-packages $(PEERS))
	$(BENCH) -run 'TestBench(Engine|Paced|Connections)|TestRawRequestAllocatesNothing' -bench RawRequest ./internal/load
	$(BENCH) -run 'TestBench(Peers|Pacing)' ./internal/cli

bench-stall: test-deps ## one stall shown to several generators, and its picture; into docs/engine.md
	@scripts/install-missing $$(scripts/missing-packages $(PEERS))
	$(BENCH) -run TestBenchStallPicture ./internal/load
	$(BENCH) -run TestBenchStall ./internal/cli

bench-report: ## a run of 10^9 requests, and one of 20 targets in 30 blocks: each reported within a minute of CPU and 1 GiB
	BAKEOFF_BENCH=1 $(GO) test -count=1 -v -timeout 15m -run TestBenchReport ./internal/report

bench-turns: test-deps ## the demo's targets one after another, in turns, in turns, one after another (20 minutes on a quiet machine); into docs/method.md
	$(BENCH) -run TestBenchTurns ./internal/cli

bench-trust: test-deps ## what the checks of the targets' honesty cost: 32 runs with, without some, and without them (15 minutes on a quiet machine); into docs/trust.md and internal/figures
	$(BENCH) -run TestBenchTrust ./internal/cli

bench-redraws: test-deps ## does redrawing connections narrow the spread of the ratio? redrawn, kept, kept, redrawn (20 minutes on a quiet machine)
	$(BENCH) -run TestBenchRedraws ./internal/cli

bench-page: test-deps ## what 100 pages and a browser cost a run that they watch (4 minutes); into docs/dashboard.md
	$(BENCH) -run TestBenchPage ./internal/cli

bench-demos: deps ## four demos, and one with a busy loop during some trials: spread within and between runs (40 minutes on a quiet machine)
	scripts/bench-demos

bench-fleet: ## what 64 agents cost their controller, and how closely they start
	BAKEOFF_BENCH=1 $(GO) test -count=1 -v -timeout 5m -run TestBench ./internal/fleet

fuzz: ## an hour of hostile answers against net/http's own parser
	$(GO) test -run '^$$' -fuzz FuzzFraming -fuzztime 1h ./internal/load

race: test-deps ## the race detector over everything
	CGO_ENABLED=1 $(GO) test -race -count=1 -timeout 40m -p 1 ./...

clean: ## remove what was built
	rm -rf bin
