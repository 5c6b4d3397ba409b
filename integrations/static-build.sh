#!/bin/sh
# Builds trustctl as one static file, dist/trustctl: with musl where Rust's target for it and a C compiler for it are installed, else with a
# static glibc. Says which. The keyring of the desktop is left out: it needs shared libraries, and CI has none.
set -eu
cd "$(dirname "$0")/.."
arch=$(uname -m)
musl=$arch-unknown-linux-musl
gnu=$arch-unknown-linux-gnu
sysroot=$(rustc --print sysroot)

if [ -d "$sysroot/lib/rustlib/$musl/lib" ] && command -v musl-gcc >/dev/null 2>&1; then
    target=$musl kind="musl"
    cargo build --release --locked --package trustctl --no-default-features --target "$musl"
else
    # With an explicit target the flag does not reach build scripts and procedural macros, which cannot be static.
    target=$gnu kind="static glibc (no musl target or no musl-gcc here)"
    RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" \
        cargo build --release --locked --package trustctl --no-default-features --target "$gnu"
fi

# The folder is copied into the image of the proxy as its empty state.
mkdir -p dist/state
cp "${CARGO_TARGET_DIR:-target}/$target/release/trustctl" dist/trustctl
for bundle in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
    if [ -n "$bundle" ] && [ -f "$bundle" ]; then cp "$bundle" dist/ca-certificates.crt && break; fi
done
if ldd dist/trustctl 2>/dev/null | grep -q '=>'; then
    echo "dist/trustctl is not static" >&2
    exit 1
fi
echo "dist/trustctl: $kind"
dist/trustctl --version
