#!/usr/bin/env bash
# The proxy beside docker-registry (plain and as a pull-through cache) and nginx with static files, in the same run, on loopback. wrk and curl
# make the load, CPU time and memory are read from the operating system. Prints Markdown tables. Arguments
# choose parts: small, pace, large, fan, cold; soak (ten minutes, or BENCH_SOAK_SECONDS) runs only when it is named.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
for program in wrk nginx curl; do
    if ! PATH=$PATH:/usr/sbin command -v "$program" >/dev/null; then
        echo "$program is missing: apt-get install wrk nginx-light curl" >&2
        exit 2
    fi
done
export PATH=$PATH:/usr/sbin
ulimit -n 8192
export TRUSTCTL_PEERS=${TRUSTCTL_PEERS:-$PWD/target/peers}
tests/setup/peers.sh "$TRUSTCTL_PEERS" >/dev/null
if [ -z "${TRUSTCTL_PROGRAM:-}" ]; then
    cargo build --quiet --release --package trustctl
    TRUSTCTL_PROGRAM=${CARGO_TARGET_DIR:-$PWD/target}/release/trustctl
fi
export TRUSTCTL_PROGRAM
exec cargo run --quiet --package trustctl-tests --bin bench_proxy -- "$@"
