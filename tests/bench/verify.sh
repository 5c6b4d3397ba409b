#!/usr/bin/env bash
# Wall time, memory, start-up and size of `trustctl verify` beside cosign and notary, in the same run, on real registries on loopback.
# Public tools do the measuring: hyperfine for time, GNU time for memory. Prints a Markdown table of ratios.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export TRUSTCTL_PEERS=${TRUSTCTL_PEERS:-$PWD/target/peers}
tests/setup/peers.sh "$TRUSTCTL_PEERS" >/dev/null
cargo build --quiet --release --package trustctl
TRUSTCTL_PROGRAM=${CARGO_TARGET_DIR:-$PWD/target}/release/trustctl
export TRUSTCTL_PROGRAM
exec cargo run --quiet --release --package trustctl-tests --bin bench
