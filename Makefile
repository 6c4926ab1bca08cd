# SPDX-License-Identifier: Apache-2.0
# A thin face for those who expect one: CMake's presets do the work.
PREFIX ?= /usr/local
DESTDIR ?=
JOBS ?= $(shell nproc)
# Debian's own Python, whatever else comes first in PATH: the tests need its pytest.
PYTHON ?= /usr/bin/python3

.PHONY: build dev fuzz deps check check-long demo bench bench-full bench-micro bench-agent install uninstall format clean help

build:
	@packaging/install-packages --list build | sed 's/^/missing: /'
	@test -e build/build.ninja || cmake --preset release
	@cmake --build --preset release -j $(JOBS)

dev fuzz:
	@test -e build/$@/build.ninja || cmake --preset $@
	@cmake --build --preset $@ -j $(JOBS)

deps:
	@packaging/install-packages build demo check long bench

check:
	@packaging/install-packages build demo check
	@$(PYTHON) tests/run

check-long:
	@packaging/install-packages build demo check long
	@$(PYTHON) tests/run --long

demo:
	@packaging/install-packages build demo
	@$(MAKE) --no-print-directory build
	@$(PYTHON) demo/run

# What each arm of the benchmark costs, against the others (docs/bench.md).
bench bench-full:
	@packaging/install-packages build bench
	@$(MAKE) --no-print-directory build
	@$(PYTHON) bench/run $(if $(filter bench-full,$@),--full)

bench-micro:
	@packaging/install-packages build bench
	@$(MAKE) --no-print-directory build
	@$(PYTHON) bench/micro/run

bench-agent:
	@packaging/install-packages build check bench
	@$(MAKE) --no-print-directory build
	@$(PYTHON) bench/agent/run

# Installs what `make` has built: it neither builds nor asks for a compiler when run as root.
install:
	@test -x build/sluice || { echo "make install: run make first" >&2; exit 1; }
	DESTDIR="$(DESTDIR)" cmake --install build --prefix "$(PREFIX)"

uninstall:
	rm -f "$(DESTDIR)$(PREFIX)/bin/sluice" "$(DESTDIR)$(PREFIX)/share/man/man1/sluice.1" \
		"$(DESTDIR)$(PREFIX)/lib/systemd/system/sluice-agent.service"

format:
	@git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

clean:
	rm -rf build

help:
	@echo 'make                     build build/sluice'
	@echo 'make demo                a real server, real clients, one policy: what passes and why (root)'
	@echo 'make check               lint, unit, BPF and end-to-end tests, short fuzzing (root)'
	@echo 'make check-long          the same, everything, longer, and on the kernel of Debian 12'
	@echo 'make bench               sluice, HAProxy, nginx and Envoy compared, in three minutes (root)'
	@echo 'make bench-full          the same, everything, in forty'
	@echo 'make bench-micro         verdicts, heads and paths, in ns and in instructions'
	@echo 'make bench-agent         what a thousand workloads cost one agent (root)'
	@echo 'make install, uninstall  PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)'
	@echo 'make dev, make fuzz      the builds with sanitizers, in build/dev and build/fuzz'
	@echo 'make deps                install what all of this needs from Debian 12 (root)'
	@echo 'make format              clang-format on every C file'
	@echo 'make clean               remove build/'
