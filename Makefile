# hpc3: build, test, demonstrate, install. See README.md.

BIN        ?= bin
PREFIX     ?= /usr/local
# In a home hpc3.toml is the user's own.
SYSCONFDIR ?= $(if $(filter $(HOME)/%,$(PREFIX)),$(or $(XDG_CONFIG_HOME),$(HOME)/.config),/etc)
ifndef VERSION
override VERSION := $(shell sh tests/tools/version)
endif
# A Go that is new enough, once something is built; see tests/tools/go.
go          = $(or $(GO),$(eval GO := $(shell INSTALL_PACKAGES=$(INSTALL_PACKAGES) sh tests/tools/go))$(GO),$(error there is no Go to build with; the lines above say why))
GOOS       := linux

LDFLAGS    := -s -w -X main.version=$(VERSION)

export GOOS
export GOTOOLCHAIN = local
# The programs start on the oldest CPU of an architecture: they are what finds out which one it is.
export GOAMD64 = v1
export GOARM64 = v8.0
export GOPPC64 = power8
export GORISCV64 = rva20u64
export CGO_CFLAGS = -Wno-deprecated-declarations

# The programs in BIN are of this version, and for this architecture.
made        = $(VERSION) $(GOARCH)

.PHONY: build plugin test check bench demo install uninstall clean lint
.DEFAULT_GOAL := build

# These install what they need.
test bench demo: INSTALL_PACKAGES := yes

build:
	@mkdir -p $(BIN)
	@echo 'building hpc3-run and hpc3 in $(BIN); the first time takes minutes'
	@rm -f $(BIN)/.programs
	@sh tests/tools/build-programs $(go) $(BIN) '$(LDFLAGS)'
	@sh tests/tools/build-gpu $(go) $(BIN) '$(LDFLAGS)'
	@sh tests/tools/stamp write $(BIN) programs '$(made)' 'make' hpc3-run hpc3 $$(cd $(BIN) && ls hpc3-gpu 2>/dev/null)

# The Slurm plugin, for the Slurm whose headers are in SLURM_INCLUDE/slurm: it loads only plugins that were built for its version.
plugin:
	@mkdir -p $(BIN)
	@echo 'building the Slurm plugin in $(BIN); the first time takes minutes'
	@sh tests/tools/build-plugin $(go) $(BIN) '$(VERSION)' '$(SLURM_INCLUDE)' $(PLUGIN_CFLAGS)

# Everything that can be tested on one machine; installs what it needs (Debian, as root).
# Three tests of a package at a time, on two processors as well: those that may run together wait more than they work. Those of Slurm take
# the longest, so they begin.
test:
	bash tests/lab/need --for-test
	HPC3_REQUIRE=$${HPC3_REQUIRE-native,apptainer,registry,qemu,squashfs,slurm} $(go) test -count=1 -timeout 40m -parallel 3 ./tests/slurm ./...

# Format, vet, linters, unit tests.
check: lint
	$(go) vet ./...
	$(go) test -short ./...

lint:
	sh tests/tools/lint $(go)

# The benchmarks, against peers and limits; as root, about half an hour. AGAINST=DIR: a short set against another build, whose hpc3 and
# hpc3-run are in DIR, the two in turn; about five minutes. HPC3_BENCH_PAIRS=N: how often.
bench: build
	bash tests/bench/$(if $(AGAINST),against,run) $(BIN) $(AGAINST)

demo: build
	bash tests/demo/run $(BIN)

# Builds only where BIN is not what the sources say: root may have no Go.
install:
	@sh tests/tools/stamp check $(BIN) programs '$(made)' >/dev/null || $(MAKE) --no-print-directory build
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)' sh tests/tools/install put $(BIN) '$(VERSION)'

uninstall:
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)' sh tests/tools/install away $(BIN) '$(VERSION)'

clean:
	rm -rf $(BIN)
