#!/usr/bin/env bash
# Prints "VERSION PATH" of each supported Python found on PATH or under pyenv, "VERSION -" of others.
set -euo pipefail
for version in 3.10 3.11 3.12 3.13; do
    found=-
    for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
        if path=$("$candidate" -c 'import sys; print(sys.executable)' 2>/dev/null); then
            found=$path
            break
        fi
    done
    echo "$version $found"
done
