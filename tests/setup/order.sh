#!/usr/bin/env bash
# Writes crates/trustctl/verify.ld anew: builds the release program with its symbols, sees with valgrind which functions run while real
# signatures are verified, and lists them for the linker. Worth doing when memory in tests/bench/verify.sh has grown.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export TRUSTCTL_PEERS=${TRUSTCTL_PEERS:-$PWD/target/peers}
tests/setup/peers.sh "$TRUSTCTL_PEERS" >/dev/null
command -v valgrind >/dev/null || { echo "valgrind is not installed: apt-get install valgrind" >&2 && exit 1; }
cargo rustc --quiet --release --locked --package trustctl --bin trustctl -- -C strip=none
TRUSTCTL_PROGRAM=${CARGO_TARGET_DIR:-$PWD/target}/release/trustctl
export TRUSTCTL_PROGRAM
exec cargo run --quiet --locked --package trustctl-tests --bin bench -- order crates/trustctl/verify.ld
