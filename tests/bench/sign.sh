#!/usr/bin/env bash
# Many images signed by an identity: one call of trustctl beside cosign in a loop, against the lab on loopback. Prints a Markdown table of
# wall time, requests, certificates and log entries. The number of images is the argument; 100 when nothing is said.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export TRUSTCTL_PEERS=${TRUSTCTL_PEERS:-$PWD/target/peers}
tests/setup/peers.sh "$TRUSTCTL_PEERS" >/dev/null
cargo build --quiet --release --package trustctl
TRUSTCTL_PROGRAM=${CARGO_TARGET_DIR:-$PWD/target}/release/trustctl
export TRUSTCTL_PROGRAM
exec cargo run --quiet --release --package trustctl-tests --bin bench_sign -- "${1:-100}"
