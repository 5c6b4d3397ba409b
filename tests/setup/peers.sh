#!/usr/bin/env bash
# Finds or installs the real programs that the interoperability tests run against, on Debian 12 with root or on a machine that has them.
#
#   tests/setup/peers.sh [DIR]        DIR defaults to $TRUSTCTL_PEERS, then to target/peers of the workspace
#
# Writes DIR/peers.env, which the test support library reads: one KEY=VALUE a line, the value is the rest of the line, unquoted.
#   PEER_NAME=/absolute/path   PEER_NAME_VERSION=text   PEER_NAME_MISSING=why
# A peer that cannot be had is reported as `PEER MISSING: name: why` on stderr and is no failure: the exit status is 0 whenever peers.env was
# written, and the tests skip loudly. Safe to run again: what is there is kept, so a second run takes a second or so.
#
# The real Rekor v2 and timestamp servers, and a cosign 2.6, are built from Go's module proxy, which takes minutes: only when TRUSTCTL_REAL_SIGSTORE=1 is set and Go is
# there; BuildKit as a daemon of its own and the engine of Docker 29 when TRUSTCTL_REAL_CLIENTS=1 is. Once built, they are used without it.
#
# Packages of the machine's own release are installed with apt. Newer programs come from Debian's later suites: their packages are downloaded
# with a private apt state and unpacked under DIR, so the system's own state is left alone.
set -euo pipefail
umask 022
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

readonly FERRO_VERSION=1.0.0
readonly SIGSTORE_PYTHON_VERSION=4.5.1
# The newest that run on Node 20.
readonly SIGSTORE_JS_VERSION=4.1.1
readonly SIGSTORE_JS_PARTS=(@sigstore/bundle@4.0.0 @sigstore/protobuf-specs@0.5.2 @sigstore/sign@4.1.1 @sigstore/verify@3.1.1)
# The cosign 2 that stores signatures of images as bundles too; Debian has an older one.
readonly COSIGN_2_BUNDLES_VERSION=2.6.2
readonly REKOR_TILES_VERSION=2.3.0
readonly TIMESTAMP_AUTHORITY_VERSION=2.1.3
readonly BUILDKIT_VERSION=0.34.2
# Of Docker 29.
readonly MOBY_VERSION=2.0.0-beta.24
readonly TRIES=3

workspace=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dir=${1:-${TRUSTCTL_PEERS:-$workspace/target/peers}}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

# Two test runs may start at once: the second waits and then finds everything there.
exec 9>"$dir/.lock"
if command -v flock >/dev/null; then flock -w 1200 9 || { echo "another run holds $dir/.lock" >&2; exit 1; }; fi

log=$dir/setup.log
: >"$log"
env_new=$dir/.peers.env.new
: >"$env_new"
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { printf 'peers: %s\n' "$*" >&2; }

missing() { # NAME WHY
  printf 'PEER MISSING: %s: %s\n' "$1" "$2" >&2
  printf 'PEER_%s_MISSING=%s\n' "$(key "$1")" "$2" >>"$env_new"
}

key() { printf '%s' "$1" | tr 'a-z-' 'A-Z_'; }

found() { # NAME PATH VERSION
  printf 'PEER_%s=%s\n' "$(key "$1")" "$2" >>"$env_new"
  printf 'PEER_%s_VERSION=%s\n' "$(key "$1")" "${3:-unknown}" >>"$env_new"
}

retry() { # COMMAND...: several tries with a pause, output to the log
  local try
  for ((try = 1; try <= TRIES; try++)); do
    printf '+ %s (try %d)\n' "$*" "$try" >>"$log"
    if "$@" >>"$log" 2>&1 </dev/null 9>&-; then return 0; fi
    if ((try < TRIES)); then sleep $((try * 3)); fi
  done
  return 1
}

# ---- packages of this release -------------------------------------------------------------------------------------------------------------

# command=package; a package is installed only when its command is not there yet.
readonly SYSTEM=(
  buildah=buildah chromium-headless-shell=chromium-headless-shell containerd=containerd curl=curl dbus-run-session=dbus-daemon docker-registry=docker-registry dockerd=docker.io gnome-keyring-daemon=gnome-keyring
  hyperfine=hyperfine keyctl=keyutils notary=notary notary-server=notary notary-signer=notary
  openssl=openssl podman=podman secret-tool=libsecret-tools skopeo=skopeo umoci=umoci
)

as_root() { if [[ $(id -u) == 0 ]]; then "$@"; else sudo -n "$@"; fi; }

can_install() { command -v apt-get >/dev/null && { [[ $(id -u) == 0 ]] || sudo -n true 2>/dev/null; }; }

apt_updated=
apt_update() {
  [[ -z $apt_updated ]] || return 0
  # A third-party source that is down must not stop us: what counts is whether the packages can be installed.
  retry as_root apt-get -q -o DPkg::Lock::Timeout=300 update || say "apt-get update had errors (see $log)"
  apt_updated=yes
}

# No daemon may start because a test peer was installed: deny it for the time of the installation, unless the machine has its own rule.
readonly policy=/usr/sbin/policy-rc.d
policy_is_ours=
deny_service_starts() {
  [[ ! -e $policy ]] || return 0
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
  as_root chmod 755 "$policy"
  policy_is_ours=yes
}
allow_service_starts() {
  [[ -n $policy_is_ours ]] || return 0
  as_root rm -f "$policy"
  policy_is_ours=
}
trap allow_service_starts EXIT

# --no-remove: a docker-ce that is installed here stays, docker.io is then unpacked under DIR instead.
apt_install() { retry as_root apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends --no-remove install "$@"; }

install_system() {
  local pair wanted=() package
  for pair in "${SYSTEM[@]}"; do
    command -v "${pair%%=*}" >/dev/null || wanted+=("${pair#*=}")
  done
  ((${#wanted[@]})) || return 0
  mapfile -t wanted < <(printf '%s\n' "${wanted[@]}" | sort -u)
  if ! can_install; then say "not root and no apt: cannot install ${wanted[*]}"; return 0; fi
  say "installing ${wanted[*]}"
  apt_update
  deny_service_starts
  if ! apt_install "${wanted[@]}"; then
    for package in "${wanted[@]}"; do apt_install "$package" || say "apt could not install $package (see $log)"; done
  fi
  allow_service_starts
}

# ---- packages of later releases, unpacked -------------------------------------------------------------------------------------------------

later_ready=
later_why=
private_apt=()
readonly keyring=/usr/share/keyrings/debian-archive-keyring.gpg
prepare_later() { # once: a private apt state with the suites trixie and sid of the mirror this machine already uses
  [[ -z $later_ready ]] || return 0
  [[ -z $later_why ]] || return 1
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then later_why='no apt on this machine'; return 1; fi
  local state=$dir/apt codename uri
  codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
  uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Release: $codename" 'Component: main' | head -n 1) || true
  if [[ -z $uri ]]; then later_why="this machine has no apt source for $codename main"; return 1; fi
  mkdir -p "$state"/{etc,lists/partial,cache/archives/partial,debs}
  {
    printf 'Types: deb\nURIs: %s\nSuites: trixie sid\nComponents: main\n' "$uri"
    if [[ -e $keyring ]]; then printf 'Signed-By: %s\n' "$keyring"; fi
  } >"$state/etc/later.sources"
  private_apt=(-q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$state/etc" -o Dir::State::lists="$state/lists"
    -o Dir::Cache="$state/cache" -o Dir::State::status=/dev/null -o Debug::NoLocking=1 -o Acquire::Languages=none
    -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o APT::Sandbox::User=root)
  say 'reading the later suites'
  if ! retry apt-get "${private_apt[@]}" --error-on=any update; then later_why="the later suites cannot be read (see $log)"; return 1; fi
  later_ready=yes
}

unpack() { # PACKAGE/SUITE FOLDER: downloads one package and unpacks it
  local debs
  debs=$(mktemp -d "$dir/apt/debs/XXXXXX")
  (cd "$debs" && retry apt-get "${private_apt[@]}" download "$1") || { rm -rf "$debs"; return 1; }
  rm -rf "$2.part"
  mkdir -p "$(dirname "$2")"
  dpkg-deb -x "$debs"/*.deb "$2.part" && dpkg-deb -f "$debs"/*.deb Version >"$2.part/VERSION" && rm -rf "$2" && mv "$2.part" "$2"
  rm -rf "$debs"
}

later() { # NAME PACKAGE/SUITE PROGRAM VERSION-COMMAND...: a static-enough Go program, of /usr/bin or by its path below /usr
  local name=$1 package=$2 program=$dir/later/$1/usr/bin/$3
  if [[ $3 == */* ]]; then program=$dir/later/$1/usr/$3; fi
  shift 3
  if [[ ! -x $program ]]; then
    if ! prepare_later; then missing "$name" "$later_why"; return 0; fi
    say "unpacking $package"
    if ! unpack "$package" "$dir/later/$name"; then missing "$name" "package $package cannot be had (see $log)"; return 0; fi
  fi
  report "$name" "$program" "$@"
}

report() { # NAME PROGRAM VERSION-ARGUMENTS...: found when it runs, missing when it does not
  local name=$1 program=$2 text
  shift 2
  if ! text=$("$program" "$@" 2>&1 </dev/null 9>&-); then
    missing "$name" "$program does not run: $(printf '%s' "$text" | tail -n 1)"
    return 0
  fi
  # A package's version is preferred: what programs print may be their compiler's.
  local version
  if [[ -e $dir/later/$name/VERSION ]]; then version=$(cat "$dir/later/$name/VERSION"); else version=$(package_version "$program"); fi
  found "$name" "$program" "${version:-$(printf '%s' "$text" | grep -oE '[0-9]+\.[0-9]+[0-9A-Za-z.+~-]*' | head -n 1)}"
}

# The packages named lib* that a package of sid needs, with what those need.
libraries_of() {
  local queue=("$1") seen=' ' package name
  while ((${#queue[@]})); do
    package=${queue[0]}
    queue=("${queue[@]:1}")
    for name in $(apt-cache "${private_apt[@]}" show "$package/sid" 2>/dev/null |
      sed -nE 's/^(Pre-)?Depends: //p' | tr ',' '\n' | awk '{ sub(/:any$/, "", $1); print $1 }'); do
      [[ $name == lib* && $seen != *" $name "* ]] || continue
      seen+="$name "
      queue+=("$name")
      printf '%s\n' "$name"
    done
  done
}

# Debian 12's skopeo has sigstore patched out; sid's has it, but needs a newer C library than Debian 12's: it gets its own.
skopeo_sid() {
  local root=$dir/later/skopeo-sid wrapper=$dir/bin/skopeo-sid library loader paths
  if [[ ! -x $wrapper ]]; then
    if ! prepare_later; then missing skopeo-sid "$later_why"; return 0; fi
    say 'unpacking skopeo/sid and its libraries'
    if ! unpack skopeo/sid "$root"; then missing skopeo-sid "package skopeo/sid cannot be had (see $log)"; return 0; fi
    while read -r library; do
      unpack "$library/sid" "$root/libraries/$library" || { missing skopeo-sid "its library $library cannot be had (see $log)"; return 0; }
    done < <(libraries_of skopeo)
    loader=$(find "$root/libraries/libc6" -name 'ld-linux*.so.*' -type f | head -n 1)
    paths=$(find "$root/libraries" -name '*.so.*' -printf '%h\n' | sort -u | paste -sd: -)
    if [[ -z $loader ]]; then missing skopeo-sid 'no dynamic loader in its C library package'; return 0; fi
    mkdir -p "$dir/bin"
    printf '#!/bin/sh\nexec %q --library-path %q %q "$@"\n' "$loader" "$paths" "$root/usr/bin/skopeo" >"$wrapper.part"
    chmod 755 "$wrapper.part"
    mv "$wrapper.part" "$wrapper"
  fi
  report skopeo-sid "$wrapper" --version
}

# ---- Docker's CLI with Content Trust: 28 and older; 29 ignores DOCKER_CONTENT_TRUST -------------------------------------------------------

has_content_trust() {
  local version
  version=$("$1" --version 2>/dev/null </dev/null 9>&- | grep -oE '[0-9]+\.[0-9]+' | head -n 1) || return 1
  [[ -n $version ]] && ((${version%%.*} < 29))
}

docker_cli() {
  local candidate unpacked=$dir/later/docker-cli
  for candidate in "$(command -v docker || true)" /usr/bin/docker "$unpacked/usr/bin/docker"; do
    if [[ -x $candidate ]] && has_content_trust "$candidate"; then report docker-cli "$candidate" --version; return 0; fi
  done
  if prepare_later && mkdir -p "$dir/apt/debs" && unpack_own docker.io "$unpacked" && has_content_trust "$unpacked/usr/bin/docker"; then
    report docker-cli "$unpacked/usr/bin/docker" --version
    return 0
  fi
  missing docker-cli 'no docker CLI older than 29 here, and docker.io of this release cannot be had'
}

unpack_own() { # PACKAGE FOLDER: like unpack, from this machine's own release
  local debs
  debs=$(mktemp -d "$dir/apt/debs/XXXXXX")
  (cd "$debs" && retry apt-get -q download "$1" && dpkg-deb -x ./*.deb "$2")
  local status=$?
  rm -rf "$debs"
  return "$status"
}

# ---- programs from the Rust registry ------------------------------------------------------------------------------------------------------

ferro() {
  local program=$dir/bin/ferro-oci-server
  if [[ ! -x $program ]]; then
    if ! command -v cargo >/dev/null; then missing ferro-oci-server 'no cargo on this machine'; return 0; fi
    say "building ferro-oci-server $FERRO_VERSION"
    # cd: the workspace's own lock file and settings must not reach this build.
    if ! (cd "$dir" && retry env -u CARGO_TARGET_DIR cargo install --locked --debug --root "$dir" --version "$FERRO_VERSION" ferro-oci-server); then
      missing ferro-oci-server "cargo install failed (see $log)"
      return 0
    fi
  fi
  # It has no --version: starting it would open a port.
  found ferro-oci-server "$program" "$FERRO_VERSION"
}

# ---- clients of Sigstore from PyPI and npm ------------------------------------------------------------------------------------------------

sigstore_python() {
  local venv=$dir/sigstore-python program=$dir/sigstore-python/bin/sigstore
  if [[ $("$program" --version 2>/dev/null </dev/null 9>&-) != *" $SIGSTORE_PYTHON_VERSION" ]]; then
    if ! command -v python3 >/dev/null; then missing sigstore-python 'no python3 on this machine'; return 0; fi
    say "installing sigstore-python $SIGSTORE_PYTHON_VERSION"
    rm -rf "$venv"
    if ! python3 -m venv "$venv" >>"$log" 2>&1 && can_install; then
      # Debian packs venv apart from Python.
      apt_update
      rm -rf "$venv"
      apt_install python3-venv && python3 -m venv "$venv" >>"$log" 2>&1 || true
    fi
    if ! retry "$venv/bin/pip" install --quiet --no-input --disable-pip-version-check "sigstore==$SIGSTORE_PYTHON_VERSION"; then
      missing sigstore-python "pip could not install sigstore (see $log)"
      return 0
    fi
  fi
  report sigstore-python "$program" --version
}

# A wrapper that runs node with sigstore-js's libraries in reach: its own command verifies through a TUF mirror only.
sigstore_js() {
  local folder=$dir/sigstore-js wrapper=$dir/bin/sigstore-js node
  if ! node=$(command -v node) || ! command -v npm >/dev/null; then missing sigstore-js 'no node and npm on this machine'; return 0; fi
  if ! "$node" -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 22 || (a == 22 && b >= 9) || (a == 20 && b >= 17) ? 0 : 1)'; then
    missing sigstore-js "node $("$node" --version) is too old: 20.17 or 22.9 is needed"
    return 0
  fi
  if [[ ! -x $wrapper || $(cat "$folder/VERSION" 2>/dev/null) != "$SIGSTORE_JS_VERSION" ]]; then
    say "installing sigstore-js $SIGSTORE_JS_VERSION"
    mkdir -p "$folder" "$dir/bin"
    if ! retry npm install --prefix "$folder" --no-audit --no-fund --ignore-scripts --no-package-lock "sigstore@$SIGSTORE_JS_VERSION" "${SIGSTORE_JS_PARTS[@]}"; then
      missing sigstore-js "npm could not install sigstore (see $log)"
      return 0
    fi
    printf '#!/bin/sh\nNODE_PATH=%q exec %q "$@"\n' "$folder/node_modules" "$node" >"$wrapper.part"
    chmod 755 "$wrapper.part"
    mv "$wrapper.part" "$wrapper"
    printf '%s\n' "$SIGSTORE_JS_VERSION" >"$folder/VERSION"
  fi
  if ! "$wrapper" -e 'require("@sigstore/sign"); require("@sigstore/verify")' >>"$log" 2>&1 </dev/null 9>&-; then
    missing sigstore-js "its libraries cannot be loaded (see $log)"
    return 0
  fi
  found sigstore-js "$wrapper" "$SIGSTORE_JS_VERSION"
}

# ---- servers of Sigstore, built from Go's module proxy when that is asked for -------------------------------------------------------------

go_program() { # NAME MODULE/PATH VERSION COMMAND FLAG: a program whose COMMAND knows FLAG, which tells it from another of the same name
  local name=$1 package=$2 version=$3 command=$4 flag=$5 program=$dir/bin/$1 work
  knows() { [[ $("$1" "$command" --help 2>&1 </dev/null 9>&-) == *"$flag"* ]]; }
  if [[ ! -x $program ]]; then
    if program=$(command -v "$name") && knows "$program"; then found "$name" "$program" unknown; return 0; fi
    program=$dir/bin/$name
    if [[ ${TRUSTCTL_REAL_SIGSTORE:-} != 1 ]]; then missing "$name" 'it is built only when TRUSTCTL_REAL_SIGSTORE=1 is set'; return 0; fi
    if ! command -v go >/dev/null; then missing "$name" 'no Go toolchain on this machine'; return 0; fi
    say "building $name $version"
    work=$dir/go
    mkdir -p "$work/bin" "$dir/bin"
    if ! retry env GOBIN="$work/bin" GOPATH="$work" GOCACHE="$work/cache" GOFLAGS=-modcacherw CGO_ENABLED=0 nice go install "$package@v$version"; then
      missing "$name" "go install failed (see $log)"
      return 0
    fi
    mv "$work/bin/$(basename "$package")" "$program"
  fi
  if knows "$program"; then found "$name" "$program" "$version"; else missing "$name" "$program does not run"; fi
}

# ---- clients of registries, built from Go's module proxy when that is asked for -----------------------------------------------------------

# Modules that exclude versions of others, or have no version that `go install` takes: a module of our own requires them.
build_module() { # MODULE VERSION VARIABLE PROGRAM...: VARIABLE is told the version
  local module=$1 version=v$2 variable=$3 work=$dir/go
  local packages=("${@:4}")
  packages=("${packages[@]/#/$module/cmd/}")
  export GOPATH=$work GOCACHE=$work/cache GOFLAGS=-modcacherw CGO_ENABLED=0
  mkdir -p "$work/${module##*.com/}" && cd "$work/${module##*.com/}" || return 1
  [[ -e go.mod ]] || go mod init peer || return 1
  go get "$module@$version" "${packages[@]/%/@$version}" || return 1
  nice go build -mod=mod -ldflags "-s -w -X $module/$variable=$version" -o "$dir/bin/" "${packages[@]}"
}

module_programs() { # MODULE VERSION VARIABLE PROGRAM=NAME...
  local module=$1 version=$2 variable=$3 pair why="" programs=() here=yes
  for pair in "${@:4}"; do
    programs+=("${pair%%=*}")
    [[ -x $dir/bin/${pair%%=*} ]] || here=
  done
  if [[ -z $here ]]; then
    if [[ ${TRUSTCTL_REAL_CLIENTS:-} != 1 ]]; then
      why='it is built only when TRUSTCTL_REAL_CLIENTS=1 is set'
    elif ! command -v go >/dev/null; then
      why='no Go toolchain on this machine'
    else
      say "building $module $version"
      mkdir -p "$dir/bin"
      # In a shell of its own: folder and environment are its alone.
      (retry build_module "$module" "$version" "$variable" "${programs[@]}") || why="go build failed (see $log)"
    fi
  fi
  for pair in "${@:4}"; do
    if [[ -n $why ]]; then missing "${pair#*=}" "$why"; else report "${pair#*=}" "$dir/bin/${pair%%=*}" --version; fi
  done
}

# ---- all of them --------------------------------------------------------------------------------------------------------------------------

system_peer() { # NAME COMMAND VERSION-ARGUMENTS...
  local name=$1 command=$2 program
  shift 2
  if ! program=$(command -v "$command"); then missing "$name" "$command is not installed and could not be (see $log)"; return 0; fi
  if (($#)); then report "$name" "$program" "$@"; else found "$name" "$program" "$(package_version "$program")"; fi
}

package_version() {
  local package
  package=$(dpkg-query -S "$(readlink -f "$1")" 2>/dev/null | head -n 1 | cut -d: -f1) || return 0
  [[ -z $package ]] || dpkg-query -W -f '${Version}' "$package" 2>/dev/null || true
}

install_system
system_peer buildah buildah --version
system_peer chromium chromium-headless-shell --version
system_peer containerd containerd --version
system_peer curl curl --version
system_peer dbus-run-session dbus-run-session --version
system_peer docker-registry docker-registry --version
system_peer dockerd dockerd --version
system_peer gnome-keyring gnome-keyring-daemon --version
system_peer hyperfine hyperfine --version
system_peer keyctl keyctl --version
system_peer notary notary version
system_peer notary-server notary-server
system_peer notary-signer notary-signer
system_peer openssl openssl version
system_peer podman podman --version
system_peer secret-tool secret-tool
system_peer skopeo skopeo --version
system_peer umoci umoci --version
docker_cli
later containerd-trixie containerd/trixie containerd --version
later containerd-sid containerd/sid containerd --version
later dockerd-sid docker.io/sid sbin/dockerd --version
later docker-buildx docker-buildx/sid libexec/docker/cli-plugins/docker-buildx version
later docker-compose docker-compose/sid libexec/docker/cli-plugins/docker-compose version
later cosign2 cosign/trixie cosign version
later cosign3 cosign/sid cosign version
later crane crane/sid crane version
later oras oras/sid oras version
skopeo_sid
ferro
sigstore_python
sigstore_js
module_programs github.com/moby/buildkit "$BUILDKIT_VERSION" version.Version buildctl=buildctl buildkitd=buildkitd
module_programs github.com/moby/moby/v2 "$MOBY_VERSION" dockerversion.Version dockerd=dockerd-newest
go_program cosign2-bundles github.com/sigstore/cosign/v2/cmd/cosign "$COSIGN_2_BUNDLES_VERSION" sign --new-bundle-format
go_program rekor-server github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix "$REKOR_TILES_VERSION" serve --storage-dir
go_program timestamp-server github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server "$TIMESTAMP_AUTHORITY_VERSION" serve --file-signer-key-path

# What Go downloaded and built on the way is some 2 GB.
rm -rf "$dir/apt/debs" "$dir/go"
mv "$env_new" "$dir/peers.env"
say "$(grep -cE '^PEER_[A-Z0-9_]+_VERSION=' "$dir/peers.env" || true) found, $(grep -cE '_MISSING=' "$dir/peers.env" || true) missing: $dir/peers.env"
