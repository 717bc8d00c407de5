#!/usr/bin/env bash
# test_python.sh VENV ARGS VERSION PYTHON: the fast tests on one Python, unless it is that of VENV.
# Several may run at one time; only one sets up its environment, as all build from one tree.
set -euo pipefail
own=$1 args=$2 version=$3 python=$4
if [[ $python == - ]]; then echo "== Python $version: not found, not tested"; exit; fi
if [[ $("$own/bin/python" -V) == "Python $version."* ]]; then
    echo "== Python $version: \`make test\` runs everything on it"
    exit
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
code=0
{
    flock "$own" tools/setup.sh ".venv-$version" test "$python" &&
        ".venv-$version/bin/python" -m pytest -m "not broker and not slow" $args
} >"$log" 2>&1 </dev/null || code=1
echo "== Python $version"
cat "$log"
exit "$code"
