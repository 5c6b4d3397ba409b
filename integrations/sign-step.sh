#!/bin/sh
# One step of a pipeline: sign images by the identity of the job, verify them, and say what came out. Running it again changes nothing.
#
# In:  TRUSTCTL_IMAGES          images by digest, separated by white space: registry.example/shop/cart@sha256:...
#      TRUSTCTL_TAG             the tag that the signatures name (optional)
#      TRUSTCTL_STEP_POLICY     the policy to verify by; without one, just the signer of this step is trusted (optional)
#      TRUSTCTL_IF_LOG_DOWN     fail (default) or queue
#      TRUSTCTL_QUEUE           the folder of the queue (optional)
#      TRUSTCTL_COMPLETE        yes: finish what waits in the queue for these images, instead of signing (optional)
#      TRUSTCTL_SIGNING_CONFIG  services of a private Sigstore (optional)
#      TRUSTCTL_TRUSTED_ROOT    the trusted root of a private Sigstore (optional)
#      TRUSTCTL_OUT             the folder of the outputs; .trustctl when nothing is said
#      TRUSTCTL                 the program; trustctl when nothing is said
# Out: in files of the folder, in trustctl.env, and in $GITHUB_OUTPUT:
#      digest   the digest of the first image
#      verdict  signed, queued, rejected, unsigned, undecided or failed
#      bundle   a file with all evidence about the first image, for trustctl verify --evidence
# Ends with 0 only when every image was verified; with 4 when a signature waits in the queue or it cannot be said; else as trustctl does.
set -eu

program=${TRUSTCTL:-trustctl}
out=${TRUSTCTL_OUT:-.trustctl}
mkdir -p "$out"
rm -f "$out/digest" "$out/verdict" "$out/bundle" "$out/evidence.json" "$out/sign.json" "$out/verify.json" "$out/trustctl.env"

output() {
    printf '%s' "$2" >"$out/$1"
    printf 'TRUSTCTL_%s=%s\n' "$(printf '%s' "$1" | tr '[:lower:]' '[:upper:]')" "$2" >>"$out/trustctl.env"
    if [ -n "${GITHUB_OUTPUT:-}" ]; then
        printf '%s=%s\n' "$1" "$2" >>"$GITHUB_OUTPUT"
    fi
}

finish() {
    output verdict "$1"
    echo "trustctl step: $1" >&2
    exit "$2"
}

# Globbing is off where words are split on purpose.
set -f
# shellcheck disable=SC2086
set -- ${TRUSTCTL_IMAGES:-}
set +f
if [ $# -eq 0 ]; then
    echo "TRUSTCTL_IMAGES names no image" >&2
    finish failed 2
fi
for image in "$@"; do
    case $image in
    -*) echo "$image: an image does not begin with a dash" >&2 && finish failed 2 ;;
    *@sha256:* | *@sha512:*) ;;
    *) echo "$image has no digest: sign what was built, not what a tag means meanwhile" >&2 && finish failed 2 ;;
    esac
done
first=$1
output digest "${first#*@}"

# Adds the flags that are asked for to a command, and runs it; its JSON goes to the file.
sign() {
    if [ -n "${TRUSTCTL_QUEUE:-}" ]; then set -- "$@" --queue "$TRUSTCTL_QUEUE"; fi
    if [ -n "${TRUSTCTL_SIGNING_CONFIG:-}" ]; then set -- "$@" --signing-config "$TRUSTCTL_SIGNING_CONFIG"; fi
    if [ -n "${TRUSTCTL_TRUSTED_ROOT:-}" ]; then set -- "$@" --trusted-root "$TRUSTCTL_TRUSTED_ROOT"; fi
    "$program" "$@" --output json --no-input >"$out/sign.json"
}

verify() {
    if [ -n "${TRUSTCTL_STEP_POLICY:-}" ]; then
        set -- "$@" --policy "$TRUSTCTL_STEP_POLICY"
    else
        set -- "$@" --identity "$identity" --issuer "$issuer"
    fi
    if [ -n "${TRUSTCTL_TRUSTED_ROOT:-}" ]; then set -- "$@" --trusted-root "$TRUSTCTL_TRUSTED_ROOT"; fi
    "$program" verify "$@" --output json --no-input >"$out/verify.json"
}

code=0
if [ "${TRUSTCTL_COMPLETE:-}" = yes ]; then
    sign complete "$@" || code=$?
    if [ "$code" -ne 0 ]; then
        if [ "$code" -eq 4 ]; then finish queued 4; fi
        finish failed "$code"
    fi
fi
# After completing, too: an image that never was in the queue must not pass, and what is signed is only looked at.
if [ -n "${TRUSTCTL_TAG:-}" ]; then
    sign sign "$@" --tag "$TRUSTCTL_TAG" --scheme cosign --if-log-down "${TRUSTCTL_IF_LOG_DOWN:-fail}" || code=$?
else
    sign sign "$@" --scheme cosign --if-log-down "${TRUSTCTL_IF_LOG_DOWN:-fail}" || code=$?
fi
if [ "$code" -ne 0 ]; then
    if [ "$code" -eq 4 ] && grep -q '"code":"TC0830"' "$out/sign.json"; then finish queued 4; fi
    if [ "$code" -eq 4 ]; then finish undecided 4; fi
    finish failed "$code"
fi

# The names as JSON has them; one that JSON has to escape is refused by the comparison that follows.
identity=$(sed -n 's/.*"identity":{"identity":"\([^"\\]*\)","issuer":"\([^"\\]*\)"}.*/\1/p' "$out/sign.json")
issuer=$(sed -n 's/.*"identity":{"identity":"\([^"\\]*\)","issuer":"\([^"\\]*\)"}.*/\2/p' "$out/sign.json")
verify "$@" || code=$?
case $code in
0) ;;
1) finish rejected 1 ;;
3) finish unsigned 3 ;;
4) finish undecided 4 ;;
*) finish failed "$code" ;;
esac
verify "$first" --save-evidence "$out/evidence.json" || finish undecided 4
output bundle "$out/evidence.json"
finish signed 0
