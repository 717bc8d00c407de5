#!/usr/bin/env bash
# Installs the Debian packages that the tests run against, and only those that are missing.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
need mosquitto mosquitto
need mosquitto_pub mosquitto-clients
need strace strace
need openssl openssl
need dpkg-deb dpkg
need lintian lintian
((${#missing[@]})) || exit 0

give_up() {
    echo "system-packages: $1" >&2
    echo "fix: sudo apt-get update && sudo apt-get install ${missing[*]}" >&2
    exit 1
}

command -v apt-get >/dev/null || give_up "${missing[*]} missing, and there is no apt-get here"
root=()
if ((EUID != 0)); then
    command -v sudo >/dev/null || give_up "${missing[*]} missing, and neither root nor sudo here"
    root=(sudo)
fi
echo "system-packages: installing ${missing[*]}" >&2
"${root[@]}" apt-get update -qq >&2 || echo "system-packages: apt-get update failed, trying on" >&2
"${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 ||
    give_up "apt-get could not install ${missing[*]}"
