# make builds mod_post_msg, tests it and makes its packages. The targets that matter most:
#
#   make            build the module in build/LUA_VERSION, for the Lua that Prosody runs on (or LUA_VERSION=5.4)
#   make install    copy it: make install PLUGIN_DIR=/usr/local/lib/prosody/modules
#   make demo       show it at work in a throw-away Prosody on this machine
#   make test       run every test
#   make test-quick run the tests that take a minute
#   make check      run the linters, and compare the documentation with the sources
#   make bench      measure it, and write the figures into docs/performance.md
#   make fuzz       post random requests, for SECONDS=60
#   make soak       test faults and long runs, and write the results into docs/faults.md (90 minutes)
#   make deb        make the Debian package
#
# docs/development.md describes all targets. On Debian and Ubuntu, as root, make installs the packages that a target needs; otherwise
# it names them.

SHELL = /bin/bash
.SHELLFLAGS = -euo pipefail -c
.DELETE_ON_ERROR:

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
ABOUT = { prosodyctl about || true; } 2>/dev/null
PROSODY_LUA = $(shell $(ABOUT) | sed -n 's/^Lua version:[^0-9]*\([0-9.]*\).*/\1/p')
PROSODY_VERSION = $(shell $(ABOUT) | sed -n 's/^Prosody \([0-9]*[.][0-9]*\).*/\1/p')
# luarocks passes its interpreter in ROCK_LUA.
ifdef ROCK_LUA
LUA_VERSION := $(shell $(ROCK_LUA) -e 'io.write(_VERSION:match("%d.%d"))')
endif
ifndef LUA_VERSION
LUA_VERSION := $(or $(PROSODY_LUA),5.4)
endif

CARGO ?= cargo
# Ubuntu 24.04's package cargo-1.85 is in a folder of its own. A cargo outside of /usr/bin, such as rustup's, stays the first.
ifneq ($(filter /usr/bin/cargo,$(shell command -v cargo || echo /usr/bin/cargo)),)
export PATH := /usr/lib/rust-1.85/bin:$(PATH)
endif
PYTHON ?= /usr/bin/python3
BUILD = build/$(LUA_VERSION)
TARGET = $(or $(CARGO_TARGET_DIR),target)
MODULE = $(BUILD)/mod_post_msg
CARGO_LUA = --locked --no-default-features --features lua$(subst .,,$(LUA_VERSION))
# The library contains no path of this machine, so every machine builds the same bytes. A recursive make inherits
# the flags and must not add them again: if the flags change, cargo compiles everything again.
REMAP = --remap-path-prefix=$(CURDIR)=/mod_post_msg --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo
ifeq ($(findstring $(REMAP),$(RUSTFLAGS)),)
export RUSTFLAGS := $(strip $(RUSTFLAGS) $(REMAP))
endif
export PYTHONDONTWRITEBYTECODE = 1

.PHONY: all help build build-panic install install-rock dist deb deb-arm64 on-debian-12 release rock demo test test-quick test-native test-cost test-specs test-everywhere \
	other-prosody programs check readme picture deps deps-matrix test-matrix test-deb test-packages soak test-fresh fuzz coverage supply bench clean

all: build

# Prints the comment at the top of this file.
help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

# tools/label appends a line with the version to the library; the Lua half reads it before it loads the library.
build: needs-build
	$(CARGO) build --release --lib $(CARGO_LUA)
	install -d $(MODULE)
	install -m 644 lua/*.lua $(MODULE)/
	tools/label $(TARGET)/release/libpost_msg.so $(MODULE)/post_msg.so $(VERSION) $(LUA_VERSION)

install: build
	@test -n "$(PLUGIN_DIR)" || { echo "Name the folder: make install PLUGIN_DIR=DIR, where DIR is one of Prosody's plugin_paths"; exit 1; }
	install -d "$(DESTDIR)$(PLUGIN_DIR)/mod_post_msg"
	install -m 644 $(MODULE)/* "$(DESTDIR)$(PLUGIN_DIR)/mod_post_msg/"

# For luarocks. Prosody looks for the Lua files of a rock in LUADIR; the library goes into the rock's own folder.
install-rock: build
	install -d "$(LUADIR)/mod_post_msg"
	install -m 644 $(filter-out %/mod_post_msg.lua,$(wildcard $(MODULE)/*.lua)) "$(LUADIR)/mod_post_msg/"
	install -m 644 $(MODULE)/mod_post_msg.lua "$(LUADIR)/"
	install -m 644 $(MODULE)/post_msg.so "$(PREFIX)/"

# One tarball for each Lua.
dist: needs-dist
	for lua in 5.1 5.2 5.3 5.4; do $(MAKE) build LUA_VERSION=$$lua; done
	packaging/dist 5.1 5.2 5.3 5.4

# The Debian package. It runs on the system on which it is built, and on newer ones.
deb: needs-deb
	$(MAKE) build LUA_VERSION=5.4
	packaging/deb

on-debian-12:
	@test "$$(getconf GNU_LIBC_VERSION)" = "glibc 2.36" || \
		{ echo "Please do this on Debian 12: a package that is built on a newer system does not work there"; exit 1; }

# All files of a release.
release: on-debian-12
	rm -rf dist
	$(MAKE) --jobs=1 deb deb-arm64 rock dist
	cd dist && sha256sum *.deb *.tar.gz rocks/*.rock >SHA256SUMS

# The Debian package for arm64, compiled on this machine.
deb-arm64: needs-roots
	packaging/deb-arm64

# A rock, in a folder from which prosodyctl can install it.
rock: needs-rock
	packaging/rock

demo: needs-demo
	$(MAKE) build
	PLUGIN_DIR=$(BUILD) $(PYTHON) tools/demo.py

# Every test. A package that is installed may change the Lua version of Prosody, so another make runs the tests, in parallel.
test: needs-test
	$(MAKE) --no-print-directory --jobs=4 --keep-going test-everywhere test-deb test-cost test-native check

# For developers: the native tests, and the cases on this machine's Prosody, with the library that takes the least time to build.
test-quick: needs-test-quick
	$(MAKE) build-panic
	$(CARGO) test $(CARGO_LUA) --quiet
	PLUGIN_DIR=$(BUILD)-panic spec/run spec/cases_spec.lua

# The specs do not use all of the machine; the commands with nice use the rest.
NICE = nice -n 15

test-native:
	$(NICE) $(CARGO) test $(CARGO_LUA) --quiet

# The cost of a request is measured in the release build.
test-cost:
	$(NICE) $(CARGO) test --release $(CARGO_LUA) --test cost --quiet

SPECS = PLUGIN_DIR=$(BUILD) PANIC_DIR=$(BUILD)-panic spec/run

# Every spec, on the Prosody of this machine.
test-specs: build build-panic
	$(SPECS)

# Every spec, on each Prosody that this machine can run: its own, and Prosody 13 in a Debian 13 root.
test-everywhere: build build-panic other-prosody programs
	$(SPECS) --prosody here $(OTHER_ROOT:%=--prosody %)

# Installs programs that post, and a browser. If one cannot be installed, the specs skip its tests and print a line.
programs:
	@tools/deps chromium:chromium chromedriver:chromium-driver || true
	@tools/programs || test $$? = 77

# The module in a debug build, with a media type that makes the native half panic.
build-panic: needs-build
	$(CARGO) build --lib $(CARGO_LUA),deliberate-panic
	install -d $(BUILD)-panic/mod_post_msg
	install -m 644 lua/*.lua $(BUILD)-panic/mod_post_msg/
	tools/label $(TARGET)/debug/libpost_msg.so $(BUILD)-panic/mod_post_msg/post_msg.so $(VERSION) $(LUA_VERSION)

# $(call PART,NAME,WORDS): runs this part of cargo. Some Rusts come without it.
PART = $(CARGO) $(1) --version >/dev/null 2>&1 || { echo "not covered: cargo $(1), which this machine does not have"; exit 0; }; $(NICE) $(CARGO) $(1) $(2)

check: needs-check
	@$(call PART,fmt,--check)
	@$(call PART,clippy,--all-targets $(CARGO_LUA) -- -D warnings)
	$(NICE) $(CARGO) test $(CARGO_LUA) --test rooms --test readme --quiet
	luacheck -q lua spec benches
	shellcheck command/post-msg
	mandoc -T lint -W warning command/post-msg.1

# Writes the tables of fields and statuses in docs/reference.md from their declarations, and the messages in docs/programs.md from
# their cases.
readme:
	WRITE_README=1 $(CARGO) test $(CARGO_LUA) --test readme -- --test-threads=1 fields statuses messages

# Draws the pictures in README.markdown and docs/page.md from a real run.
picture: needs-picture
	$(MAKE) build programs
	PLUGIN_DIR=$(BUILD) $(PYTHON) tools/picture.py docs/messages.svg target/programs/python/bin/python docs

# The supported Prosodys, each with its Lua. `make test-prosody-13` tests one of them, `make test-matrix` tests all.
MATRIX = 0.12-lua5.4 0.12-lua5.1 0.12-lua5.2 0.12-lua5.3 13-lua5.4
# native_spec runs in this machine's own Lua, so it needs no run with another Prosody.
END_TO_END = $(filter-out spec/native_spec.lua,$(wildcard spec/*_spec.lua))

test-matrix: needs-test deps-matrix programs $(MATRIX:%=test-prosody-%) test-packages deb-arm64

test-prosody-0.12: test-prosody-0.12-lua5.4
test-prosody-13: test-prosody-13-lua5.4

test-prosody-0.12-lua5.4:
	test "$(PROSODY_VERSION) $(PROSODY_LUA)" = "0.12 5.4" || { echo "not covered: Prosody 0.12 is not this machine's"; exit 77; }
	$(MAKE) test-specs LUA_VERSION=5.4

test-prosody-0.12-lua5.%:
	tools/prosody-from-source 5.$*
	$(MAKE) build build-panic LUA_VERSION=5.$*
	PROSODY=$(CURDIR)/target/prosody-5.$*/bin/prosody PLUGIN_DIR=build/5.$* PANIC_DIR=build/5.$*-panic spec/run $(END_TO_END)

test-prosody-13-lua5.4:
	tools/debian-13-root
	$(MAKE) build build-panic LUA_VERSION=5.4
	PLUGIN_DIR=build/5.4 PANIC_DIR=build/5.4-panic spec/run --prosody target/roots/debian-13 $(END_TO_END)

# The root of the other Prosody.
OTHER_ROOT = $(if $(filter-out 13.%,$(PROSODY_VERSION)),target/roots/debian-13)

other-prosody:
	@if test -z "$(OTHER_ROOT)"; then \
		echo "not covered: Prosody 0.12, which this machine does not have"; \
	else \
		status=0; tools/debian-13-root || status=$$?; \
		case $$status in 0) ;; 77) echo "not covered: Prosody 13" ;; *) exit $$status ;; esac; \
	fi

test-deb: build
	$(if $(filter-out 5.4,$(LUA_VERSION)),$(MAKE) build LUA_VERSION=5.4)
	@packaging/deb || test $$? = 77

# Tests the steps of docs/packages.md on a fresh Debian 12, a fresh Debian 13 and, with UBUNTU_MIRROR, a fresh Ubuntu 24.04.
test-packages: on-debian-12 needs-roots deb rock
	packaging/deb '' $(VERSION)+newer target/deb/newer
	packaging/test-packages

# Tests faults and long runs, and writes the table of docs/faults.md. It takes 90 minutes, or 30 with SOAK_SECONDS=600.
soak: needs-soak
	$(MAKE) build build-panic programs
	PLUGIN_DIR=$(BUILD) PANIC_DIR=$(BUILD)-panic tools/soak

# Tests the steps of the README on a fresh Debian 12 and a fresh Debian 13.
test-fresh: needs-roots
	tools/fresh

# Measures the module on this machine, and writes the figures into docs/performance.md.
bench: needs-bench
	$(MAKE) build
	$(CARGO) bench --bench reading $(CARGO_LUA)
	PLUGIN_DIR=$(BUILD) $(PYTHON) benches/server.py

# Runs the fuzz targets for SECONDS in all. With SANITIZER=address, it also finds wrong accesses to memory.
SECONDS ?= 60
SANITIZER ?= none
fuzz: needs-fuzz
	tools/fuzz $(SECONDS) $(SANITIZER) $(TARGETS)

# Shows which lines of src/ the tests run.
coverage: needs-test
	$(MAKE) programs build-panic LUA_VERSION=5.4
	tools/coverage

# Checks the dependencies for known vulnerabilities, licences, duplicates and unused crates.
supply: needs-build
	tools/supply

# Installs what the tests need.
deps: needs-test

# Installs what one target needs.
needs-%:
	@PYTHON=$(PYTHON) CARGO=$(CARGO) tools/deps $*

deps-matrix:
	@tools/deps $$(tools/prosody-from-source --packages)

clean:
	rm -rf target build dist
