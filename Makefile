# make            builds the module for the Lua that Prosody runs on (or LUA_VERSION=5.4)
# make install    copies it: make install PLUGIN_DIR=/usr/local/lib/prosody/modules
# make demo       shows it at work on a throw-away Prosody on loopback
# make test       runs every test
# README.markdown tells of the others.

SHELL = /bin/bash
.SHELLFLAGS = -euo pipefail -c
.DELETE_ON_ERROR:

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
PROSODY_LUA = $(shell { prosodyctl about || true; } 2>/dev/null | sed -n 's/^Lua version:[^0-9]*\([0-9.]*\).*/\1/p')
ifndef LUA_VERSION
LUA_VERSION := $(or $(PROSODY_LUA),5.4)
endif

CARGO ?= cargo
PYTHON ?= /usr/bin/python3
BUILD = build/$(LUA_VERSION)
MODULE = $(BUILD)/mod_post_msg
FEATURES = lua$(subst .,,$(LUA_VERSION))
CARGO_LUA = --locked --no-default-features --features $(FEATURES)

.PHONY: all build build-panic install demo test test-native test-specs check deps bench clean

all: build

# The library ends with a line that says what it is: the shim looks there before it loads it.
build:
	$(CARGO) build --release --lib $(CARGO_LUA)
	install -d $(MODULE)
	install -m 644 lua/*.lua $(MODULE)/
	spec/support/label target/release/libpost_msg.so $(MODULE)/post_msg.so $(VERSION) $(LUA_VERSION)

install: build
	@test -n "$(PLUGIN_DIR)" || { echo "Say where to: make install PLUGIN_DIR=DIR, one of Prosody's plugin_paths"; exit 1; }
	install -d "$(DESTDIR)$(PLUGIN_DIR)/mod_post_msg"
	install -m 644 $(MODULE)/* "$(DESTDIR)$(PLUGIN_DIR)/mod_post_msg/"

demo: deps
	$(MAKE) build
	PLUGIN_DIR=$(BUILD) $(PYTHON) spec/support/demo.py

# Everything that has to be installed may change which Lua it is, so make begins anew behind deps.
test: deps
	$(MAKE) check test-native build
	$(MAKE) test-specs

test-native:
	$(CARGO) test $(CARGO_LUA)

test-specs: build build-panic
	PLUGIN_DIR=$(BUILD) PANIC_DIR=$(BUILD)-panic busted

# The same with a media type that makes the native half panic.
build-panic:
	$(CARGO) build --lib $(CARGO_LUA),deliberate-panic
	install -d $(BUILD)-panic/mod_post_msg
	install -m 644 lua/*.lua $(BUILD)-panic/mod_post_msg/
	spec/support/label target/debug/libpost_msg.so $(BUILD)-panic/mod_post_msg/post_msg.so $(VERSION) $(LUA_VERSION)

check:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets $(CARGO_LUA) -- -D warnings
	luacheck -q lua spec

# What is missing of the programs that the tests need. Elsewhere than on Debian it is only named.
NEEDED = cargo:cargo cargo-fmt:rustfmt cargo-clippy:rust-clippy cc:gcc prosodyctl:prosody busted:lua-busted \
	luacheck:lua-check curl:curl wrk:wrk debootstrap:debootstrap $(PYTHON):python3
NEEDED_MODULES = slixmpp:python3-slixmpp

deps:
	@missing=; \
	for need in $(NEEDED); do command -v $${need%%:*} >/dev/null || missing="$$missing $${need#*:}"; done; \
	for need in $(NEEDED_MODULES); do $(PYTHON) -c "import $${need%%:*}" 2>/dev/null || missing="$$missing $${need#*:}"; done; \
	test -n "$$missing" || exit 0; \
	if command -v apt-get >/dev/null && test "$$(id -u)" = 0; then \
		echo "Installing$$missing"; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -qq && apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	else \
		echo "Please install these packages (Debian's names) and try again:$$missing"; exit 1; \
	fi

clean:
	rm -rf target build dist
