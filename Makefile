# Two commands. Each sets up what is missing on a fresh machine, then does the main thing.
#   make demo   build Skep and run "a bad night on purpose"
#   make test   run everything that .ci/run runs
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
CARGO_BIN := $(if $(CARGO_HOME),$(CARGO_HOME),$(HOME)/.cargo)/bin
export PATH := $(PATH):$(CARGO_BIN)

.PHONY: demo test setup node clients

demo: setup
	cargo build --release --locked -p skep
	"$${CARGO_TARGET_DIR:-target}/release/skep" demo

test: setup clients
	@cargo nextest --version >/dev/null 2>&1 || cargo install cargo-nextest --locked \
	  || echo 'cargo-nextest could not be installed; plain cargo test is used instead' >&2
	cargo run -q --locked -p xtask -- test

# The clients in other languages are tested in them.
clients:
	@python3 -m pip --version >/dev/null 2>&1 && command -v node >/dev/null && command -v npm >/dev/null || { \
	  root=; [ "$$(id -u)" = 0 ] || root=sudo; \
	  $$root apt-get update -qq && $$root apt-get install -y -qq python3-pip nodejs npm; }

# A Rust toolchain is the one thing that is asked for; the C compiler builds the SQLite that is compiled in.
setup:
	@command -v cargo >/dev/null || { echo 'cargo is missing' >&2; \
	  echo 'hint: install Rust with rustup, then run make again' >&2; exit 1; }
	@command -v cc >/dev/null || { \
	  root=; [ "$$(id -u)" = 0 ] || root=sudo; \
	  $$root apt-get update -qq && $$root apt-get install -y -qq build-essential; }
	@cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
	@cargo clippy --version >/dev/null 2>&1 || rustup component add clippy

# A model server that is not ours speaks to the tests (crates/drivers/tests/aimock); nothing that ships needs it.
node:
	@{ command -v node && command -v npm; } >/dev/null || { \
	  root=; [ "$$(id -u)" = 0 ] || root=sudo; \
	  $$root apt-get update -qq && $$root apt-get install -y -qq nodejs npm; }
