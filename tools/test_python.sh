#!/usr/bin/env bash
# test_python.sh ARGS VERSION PYTHON: the fast tests on one Python, in an environment of its own.
# Several may run at one time; only one sets up its environment, as all build from one tree.
set -euo pipefail
args=$1 version=$2 python=$3
if [[ $python == - ]]; then echo "== Python $version: not found, not tested"; exit; fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
code=0
{
    flock Makefile tools/setup.sh ".venv-$version" test "$python" &&
        ".venv-$version/bin/python" -m pytest -m "not broker and not slow" $args
} >"$log" 2>&1 </dev/null || code=1
echo "== Python $version"
cat "$log"
exit "$code"
