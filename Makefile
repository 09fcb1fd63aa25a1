# make            builds the module for the Lua that Prosody runs on (or LUA_VERSION=5.4)
# make install    copies it: make install PLUGIN_DIR=/usr/local/lib/prosody/modules
# make demo       shows it at work on a throw-away Prosody on loopback
# make test       runs every test
# docs/development.md tells of the others.

SHELL = /bin/bash
.SHELLFLAGS = -euo pipefail -c
.DELETE_ON_ERROR:

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
ABOUT = { prosodyctl about || true; } 2>/dev/null
PROSODY_LUA = $(shell $(ABOUT) | sed -n 's/^Lua version:[^0-9]*\([0-9.]*\).*/\1/p')
PROSODY_VERSION = $(shell $(ABOUT) | sed -n 's/^Prosody \([0-9]*[.][0-9]*\).*/\1/p')
# luarocks names the Lua that it works for.
ifdef ROCK_LUA
LUA_VERSION := $(shell $(ROCK_LUA) -e 'io.write(_VERSION:match("%d.%d"))')
endif
ifndef LUA_VERSION
LUA_VERSION := $(or $(PROSODY_LUA),5.4)
endif

CARGO ?= cargo
PYTHON ?= /usr/bin/python3
BUILD = build/$(LUA_VERSION)
TARGET = $(or $(CARGO_TARGET_DIR),target)
MODULE = $(BUILD)/mod_post_msg
CARGO_LUA = --locked --no-default-features --features lua$(subst .,,$(LUA_VERSION))
# The same bytes wherever they are built. Each make below this one finds the flags there already: flags
# that grew with each would have cargo begin anew each time.
REMAP = --remap-path-prefix=$(CURDIR)=/mod_post_msg --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo
ifeq ($(findstring $(REMAP),$(RUSTFLAGS)),)
export RUSTFLAGS := $(strip $(RUSTFLAGS) $(REMAP))
endif
export PYTHONDONTWRITEBYTECODE = 1

.PHONY: all build build-panic install install-rock dist deb deb-arm64 rock demo test test-quick test-native test-cost test-specs test-everywhere other-prosody programs check readme picture deps deps-matrix \
	test-matrix test-deb test-packages soak test-fresh fuzz fuzz-cost fuzz-parts fuzz-request fuzz-webhook cargo-fuzz coverage supply cargo-deny bench clean

all: build

# The library ends with a line that says what it is: the shim looks there before it loads it.
build:
	$(CARGO) build --release --lib $(CARGO_LUA)
	install -d $(MODULE)
	install -m 644 lua/*.lua $(MODULE)/
	spec/support/label $(TARGET)/release/libpost_msg.so $(MODULE)/post_msg.so $(VERSION) $(LUA_VERSION)

install: build
	@test -n "$(PLUGIN_DIR)" || { echo "Say where to: make install PLUGIN_DIR=DIR, one of Prosody's plugin_paths"; exit 1; }
	install -d "$(DESTDIR)$(PLUGIN_DIR)/mod_post_msg"
	install -m 644 $(MODULE)/* "$(DESTDIR)$(PLUGIN_DIR)/mod_post_msg/"

# For luarocks: each file where Prosody looks for it in a rock, which for the library is the rock's own folder.
install-rock: build
	install -d "$(LUADIR)/mod_post_msg"
	install -m 644 $(filter-out %/mod_post_msg.lua,$(wildcard $(MODULE)/*.lua)) "$(LUADIR)/mod_post_msg/"
	install -m 644 $(MODULE)/mod_post_msg.lua "$(LUADIR)/"
	install -m 644 $(MODULE)/post_msg.so "$(PREFIX)/"

# A tarball of the module for each Lua.
dist:
	for lua in 5.1 5.2 5.3 5.4; do $(MAKE) build LUA_VERSION=$$lua; done
	spec/targets/dist 5.1 5.2 5.3 5.4

# The Debian package, of a module that is built on Debian 12, so that it runs there and on what is newer.
deb: deps
	$(MAKE) build LUA_VERSION=5.4
	spec/targets/deb

# The same for arm64, built on this machine.
deb-arm64: deps
	spec/targets/deb-arm64

# A rock of it, in a folder that prosodyctl can install it from.
rock:
	$(MAKE) deps NEEDED="luarocks:luarocks lua5.4:lua5.4 /usr/include/lua5.4/lua.h:liblua5.4-dev" NEEDED_MODULES=
	spec/targets/rock

demo: deps
	$(MAKE) build
	PLUGIN_DIR=$(BUILD) $(PYTHON) spec/support/demo.py

# Every test. A package that deps installs may change which Lua Prosody runs on, so another make does the rest, its parts side by side.
test: deps
	$(MAKE) --no-print-directory --jobs=4 --keep-going test-everywhere test-deb test-cost test-native check

# For those who work on it: the native tests, and the cases on this machine's Prosody with the library that is built fastest.
test-quick: build-panic
	$(CARGO) test $(CARGO_LUA) --quiet
	PLUGIN_DIR=$(BUILD)-panic spec/run spec/cases_spec.lua

# The specs need less than the machine has; what is nice takes the rest.
NICE = nice -n 15

test-native:
	$(NICE) $(CARGO) test $(CARGO_LUA) --quiet

# What a request costs is measured in the build that is served.
test-cost:
	$(NICE) $(CARGO) test --release $(CARGO_LUA) --test cost --quiet

SPECS = PLUGIN_DIR=$(BUILD) PANIC_DIR=$(BUILD)-panic spec/run

# Every spec, on the Prosody of this machine.
test-specs: build build-panic
	$(SPECS)

# Every spec, on each Prosody that this machine can have: its own, and Prosody 13 in a Debian 13 root.
test-everywhere: build build-panic other-prosody programs
	$(SPECS) --prosody here $(OTHER_ROOT:%=--prosody %)

# Programs that post, and a browser, for the specs of them; what this machine cannot have is told in a line, and not covered.
programs:
	@$(MAKE) --no-print-directory deps NEEDED="chromium:chromium chromedriver:chromium-driver" NEEDED_MODULES= || true
	@spec/targets/programs || test $$? = 77

# The same with a media type that makes the native half panic.
build-panic:
	$(CARGO) build --lib $(CARGO_LUA),deliberate-panic
	install -d $(BUILD)-panic/mod_post_msg
	install -m 644 lua/*.lua $(BUILD)-panic/mod_post_msg/
	spec/support/label $(TARGET)/debug/libpost_msg.so $(BUILD)-panic/mod_post_msg/post_msg.so $(VERSION) $(LUA_VERSION)

check:
	$(CARGO) fmt --check
	$(NICE) $(CARGO) clippy --all-targets $(CARGO_LUA) -- -D warnings
	$(NICE) $(CARGO) test $(CARGO_LUA) --test rooms --test readme --quiet
	luacheck -q lua spec benches
	shellcheck command/post-msg
	mandoc -T lint -W warning command/post-msg.1

# The tables of fields and statuses in docs/reference.md, from their declarations, and the messages in docs/programs.md, from their cases.
readme:
	WRITE_README=1 $(CARGO) test $(CARGO_LUA) --test readme -- --test-threads=1 fields statuses messages

# The pictures of messages in README.markdown, and of the page in docs/page.md, from a real run.
picture: deps programs
	$(MAKE) build
	PLUGIN_DIR=$(BUILD) $(PYTHON) spec/support/picture.py templates/messages.svg target/programs/python/bin/python docs

# Other Prosodys than this machine's, each with the Lua it runs on. `make test-prosody-13` and so
# on tests one of them, `make test-matrix` all.
MATRIX = 0.12-lua5.4 0.12-lua5.1 0.12-lua5.2 0.12-lua5.3 13-lua5.4
# native_spec runs in this machine's own Lua, so it is not of the matrix.
END_TO_END = $(filter-out spec/native_spec.lua,$(wildcard spec/*_spec.lua))

test-matrix: deps deps-matrix programs $(MATRIX:%=test-prosody-%) test-packages deb-arm64

test-prosody-0.12: test-prosody-0.12-lua5.4
test-prosody-13: test-prosody-13-lua5.4

test-prosody-0.12-lua5.4:
	test "$(PROSODY_VERSION) $(PROSODY_LUA)" = "0.12 5.4" || { echo "not covered: Prosody 0.12 is not this machine's"; exit 77; }
	$(MAKE) test-specs LUA_VERSION=5.4

test-prosody-0.12-lua5.%:
	spec/targets/prosody-from-source 5.$*
	$(MAKE) build build-panic LUA_VERSION=5.$*
	PROSODY=$(CURDIR)/target/prosody-5.$*/bin/prosody PLUGIN_DIR=build/5.$* PANIC_DIR=build/5.$*-panic spec/run $(END_TO_END)

test-prosody-13-lua5.4:
	spec/targets/debian-13-root
	$(MAKE) build build-panic LUA_VERSION=5.4
	PLUGIN_DIR=build/5.4 PANIC_DIR=build/5.4-panic spec/run --prosody target/roots/debian-13 $(END_TO_END)

# The root of the Prosody that this machine does not have itself.
OTHER_ROOT = $(if $(filter-out 13,$(PROSODY_VERSION)),target/roots/debian-13)

other-prosody:
	@if test -z "$(OTHER_ROOT)"; then \
		echo "not covered: Prosody 0.12, which this machine does not have"; \
	else \
		status=0; spec/targets/debian-13-root || status=$$?; \
		case $$status in 0) ;; 77) echo "not covered: Prosody 13" ;; *) exit $$status ;; esac; \
	fi

test-deb: build
	$(if $(filter-out 5.4,$(LUA_VERSION)),$(MAKE) build LUA_VERSION=5.4)
	@spec/targets/deb || test $$? = 77

# What docs/packages.md says, on a Debian 12, a Debian 13 and, with UBUNTU_MIRROR, an Ubuntu 24.04 with nothing on them.
test-packages: deb rock
	spec/targets/deb '' $(VERSION)+newer target/deb/newer
	spec/targets/packages

# What machines and clients can do to it, and what comes of that: the table of README.markdown. It takes an hour and a half,
# with SOAK_SECONDS=600 half an hour.
soak: deps programs
	$(MAKE) build build-panic
	printf '| fault | expected | seen |\n|---|---|---|\n' >target/faults
	PLUGIN_DIR=$(BUILD) PANIC_DIR=$(BUILD)-panic FAULTS_TABLE=$(CURDIR)/target/faults busted --run soak
	sed -i -e '/^<!-- make soak -->$$/r target/faults' -e '/^<!-- make soak -->$$/,/^<!-- end -->$$/{/^|/d}' README.markdown

# On a machine with nothing on it, what the README says.
test-fresh: deps
	spec/targets/fresh

# The figures of docs/performance.md, measured here.
bench: deps
	$(MAKE) build
	$(CARGO) bench --bench reading $(CARGO_LUA)
	PLUGIN_DIR=$(BUILD) $(PYTHON) benches/server.py --readme

# Requests made of repeated pieces, random headers, queries and addresses, random requests, and random payloads through every
# template, for so many SECONDS in all. Memory and time that tests/cost/rules.rs does not allow fail; the limits of the run
# itself leave room for libFuzzer's own memory, and for runs that are measured again. With SANITIZER=address, memory is
# watched too. What makes it fail is left in fuzz/artifacts, what it learned in target/fuzz/found.
SECONDS ?= 60
SANITIZER ?= none
fuzz: fuzz-cost fuzz-parts fuzz-request fuzz-webhook

cargo-fuzz: deps
	@PATH="$(CURDIR)/target/cargo-fuzz/bin:$$PATH" command -v cargo-fuzz >/dev/null || \
		$(CARGO) install --locked --version 0.12.0 --root target/cargo-fuzz cargo-fuzz

# A sanitizer is an unstable option of the compiler.
FUZZ = mkdir -p target/fuzz/found/$(1) && PATH="$(CURDIR)/target/cargo-fuzz/bin:$$PATH" CARGO_TARGET_DIR=target/fuzz \
	$(if $(filter none,$(SANITIZER)),,RUSTC_BOOTSTRAP=1) \
	$(CARGO) fuzz run --strip-dead-code --sanitizer $(SANITIZER) $(1) target/fuzz/found/$(1) $(2) \
	-- $(if $(wildcard fuzz/$(1).dict),-dict=fuzz/$(1).dict) -max_len=$(3) $(if $(filter none,$(SANITIZER)),-timeout=2 -rss_limit_mb=256,-timeout=20 -rss_limit_mb=2048) -max_total_time=$$(($(SECONDS) / 4))

fuzz-cost: cargo-fuzz
	$(call FUZZ,cost,fuzz/corpus/cost,2048)

fuzz-parts: cargo-fuzz
	$(call FUZZ,parts,fuzz/corpus/parts,2048)

fuzz-request: cargo-fuzz
	$(call FUZZ,request,fuzz/corpus/request,16384)

fuzz-webhook: cargo-fuzz
	$(call FUZZ,webhook,templates,32768)

# Which lines of src/ the tests run.
LLVM = $(shell rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
coverage: programs
	@$(MAKE) --no-print-directory deps NEEDED="/usr/lib/llvm-$(LLVM)/bin/llvm-cov:llvm-$(LLVM)" NEEDED_MODULES= || true
	$(MAKE) build-panic LUA_VERSION=5.4
	spec/targets/coverage

# The dependencies: what is known against them, their licences, none twice, none that is not used.
supply: cargo-deny
	target/supply/bin/cargo-machete
	$(DENY) check bans licenses sources
	@if ! $(DENY) fetch db; then \
		echo "not covered: what RustSec knows against a dependency, which cannot be fetched here"; \
	else \
		$(DENY) check advisories; \
	fi

DENY = target/supply/bin/cargo-deny --config spec/targets/deny.toml --locked

cargo-deny: deps
	@cd target/supply/bin 2>/dev/null && ls cargo-deny cargo-machete >/dev/null 2>&1 || { \
		$(CARGO) install --locked --version 0.20.2 --root target/supply cargo-deny && \
		$(CARGO) install --locked --version 0.9.2 --root target/supply cargo-machete; }

# What is missing of the programs that the tests need. Elsewhere than on Debian it is only named.
NEEDED = cargo:cargo cargo-fmt:rustfmt cargo-clippy:rust-clippy cc:gcc c++:g++ prosodyctl:prosody busted:lua-busted \
	luacheck:lua-check shellcheck:shellcheck mandoc:mandoc curl:curl openssl:openssl wrk:wrk $(PYTHON):python3 git:git \
	dh:debhelper lintian:lintian ip:iproute2 \
	debootstrap:debootstrap unshare:util-linux /usr/share/keyrings/debian-archive-keyring.gpg:debian-archive-keyring
NEEDED_MODULES = slixmpp:python3-slixmpp ensurepip:python3-venv
INSTALL = if command -v apt-get >/dev/null && test "$$(id -u)" = 0; then \
		echo "Installing$$missing"; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -qq && apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	else \
		echo "Please install these packages (Debian's names) and try again:$$missing"; exit 1; \
	fi

deps:
	@missing=; \
	for need in $(NEEDED); do \
		command -v $${need%%:*} >/dev/null || test -e $${need%%:*} || missing="$$missing $${need#*:}"; \
	done; \
	for need in $(NEEDED_MODULES); do \
		$(PYTHON) -c "import $${need%%:*}" 2>/dev/null || missing="$$missing $${need#*:}"; \
	done; \
	test -n "$$missing" || exit 0; \
	$(INSTALL)

deps-matrix:
	@missing=; \
	for package in $$(spec/targets/prosody-from-source --packages); do \
		dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q "ok installed" || missing="$$missing $$package"; \
	done; \
	test -n "$$missing" || exit 0; \
	$(INSTALL)

clean:
	rm -rf target build dist
