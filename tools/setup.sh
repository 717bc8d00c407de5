#!/usr/bin/env bash
# Usage: tools/setup.sh VENV EXTRAS [PYTHON]
# Creates VENV with edge-agent[EXTRAS] installed editable. Quick when nothing changed: a mark in VENV
# holds the digest of pyproject.toml. Another PYTHON than the one in VENV builds VENV anew.
# Writes to stderr only, so that the output of `make demo --json` stays clean.
set -euo pipefail
exec >&2
venv=$1 extras=$2 asked=${3:-}
cd "$(dirname "$0")/.."

version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }

usable() {
    local found
    found=$(version "$1")
    [[ $found =~ ^3\.([0-9]+)$ ]] && ((BASH_REMATCH[1] >= 10))
}

interpreter() {
    local name
    for name in ${asked:-python3 python3.13 python3.12 python3.11 python3.10}; do
        if usable "$name"; then
            echo "$name"
            return
        fi
    done
    echo "setup: no usable Python >= 3.10 as ${asked:-python3}" >&2
    echo "fix: sudo apt-get install python3 python3-venv, or make PYTHON=/path/to/python3.12 …" >&2
    exit 1
}

create() {
    local python found
    python=$(interpreter)
    found=$(version "$python")
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "setup: Python $found lacks the venv module's ensurepip"
        echo "fix: sudo apt-get install python$found-venv"
        exit 1
    fi
    echo "setup: creating $venv with Python $found"
    "$python" -m venv --clear "$venv"
}

keep=no
if usable "$venv/bin/python"; then
    keep=yes
    if [[ -n $asked && $(version "$asked") != "$(version "$venv/bin/python")" ]]; then
        keep=no
    fi
fi
mark=$venv/.installed-$extras
digest=$(sha256sum <pyproject.toml)
if [[ $keep == yes && -f $mark && $(<"$mark") == "$digest" ]]; then
    exit 0
fi
[[ $keep == yes ]] || create
echo "setup: installing edge-agent[$extras] into $venv (a minute or two, once)"
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e ".[$extras]"; then
    echo "setup: pip could not install edge-agent[$extras]"
    echo "fix: see the message above; without network access, point PIP_INDEX_URL at a mirror"
    exit 1
fi
echo "$digest" >"$mark"
