# hpc3: build, test, demonstrate, install. See README.md.

BIN        ?= bin
PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unreleased)
MODULE     := github.com/hpc3-project/hpc3
# A Go that is new enough, found or fetched through the module proxy; see tests/tools/go.
ifndef GO
GO         := $(shell sh tests/tools/go)
ifeq ($(GO),)
$(error there is no Go to build with; the lines above say why)
endif
endif
GOOS       := linux

# The launcher's ELF entry is its own: it makes the namespaces while the process still has one thread (ARCHITECTURE.md).
LDFLAGS    := -s -w -X main.version=$(VERSION)
ENTRY      := -E $(MODULE)/launcher/run.entry

export GOOS
export GOTOOLCHAIN = local
# The programs start on the oldest CPU of an architecture: they are what finds out which one it is.
export GOAMD64 = v1
export GOARM64 = v8.0
export GOPPC64 = power8
export GORISCV64 = rva20u64
export CGO_CFLAGS = -Wno-deprecated-declarations

.PHONY: build plugin test check bench demo install clean lint
.DEFAULT_GOAL := build

build:
	@mkdir -p $(BIN)
	CGO_ENABLED=0 $(GO) build -trimpath -tags urfave_cli_no_docs -ldflags '$(LDFLAGS) $(ENTRY)' -o $(BIN)/hpc3-run ./cmd/hpc3-run
	CGO_ENABLED=0 $(GO) build -trimpath -tags urfave_cli_no_docs -ldflags '$(LDFLAGS)' -o $(BIN)/hpc3 ./cmd/hpc3
	@sh tests/tools/build-gpu $(GO) $(BIN) '$(LDFLAGS)'

# The Slurm plugin, for the Slurm whose headers are in SLURM_INCLUDE/slurm: it loads only plugins that were built for its version.
plugin:
	@mkdir -p $(BIN)
	@sh tests/tools/build-plugin $(GO) $(BIN) '$(VERSION)' '$(SLURM_INCLUDE)' $(PLUGIN_CFLAGS)

# Everything that can be tested on one machine; installs what it needs (Debian, as root).
test:
	bash tests/lab/need --for-test
	HPC3_REQUIRE=$${HPC3_REQUIRE-native,apptainer,registry,qemu,squashfs,slurm} $(GO) test -count=1 -timeout 40m ./...

# Format, vet, linters, unit tests.
check: lint
	$(GO) vet ./...
	$(GO) test -short ./...

lint:
	sh tests/tools/lint $(GO)

bench: build
	bash tests/bench/run $(BIN)

demo: build
	bash tests/demo/run $(BIN)

install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/hpc3 $(DESTDIR)$(SYSCONFDIR)/hpc3
	install -m 0755 $(BIN)/hpc3-run $(BIN)/hpc3 $(DESTDIR)$(PREFIX)/bin/
	if [ -e $(BIN)/hpc3-gpu ]; then install -m 0755 $(BIN)/hpc3-gpu $(DESTDIR)$(PREFIX)/libexec/hpc3/; fi
	if [ -e $(BIN)/spank_hpc3.so ]; then install -d $(DESTDIR)$(PREFIX)/lib/hpc3 && install -m 0755 $(BIN)/spank_hpc3.so $(BIN)/libhpc3spank.so $(DESTDIR)$(PREFIX)/lib/hpc3/; fi
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 0644 etc/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 0644 etc/man/*.5 $(DESTDIR)$(PREFIX)/share/man/man5/
	install -m 0644 etc/man/*.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	[ -e $(DESTDIR)$(SYSCONFDIR)/hpc3/hpc3.toml ] || install -m 0644 etc/hpc3.toml $(DESTDIR)$(SYSCONFDIR)/hpc3/

clean:
	rm -rf $(BIN)
