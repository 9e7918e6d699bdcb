# hpc3: build, test, demonstrate, install. See README.md.

BIN        ?= bin
PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unreleased)
# A Go that is new enough, found or fetched through the module proxy; see tests/tools/go.
ifndef GO
GO         := $(shell sh tests/tools/go)
ifeq ($(GO),)
$(error there is no Go to build with; the lines above say why)
endif
endif
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

.PHONY: build plugin test check bench demo install clean lint
.DEFAULT_GOAL := build

build:
	@mkdir -p $(BIN)
	@sh tests/tools/build-programs $(GO) $(BIN) '$(LDFLAGS)'
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
