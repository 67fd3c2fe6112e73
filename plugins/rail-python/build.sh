#!/bin/sh
# Builds a Python plugin: sh build.sh WORLD OUTPUT SOURCE.py
#
# WORLD is one of wit/world.wit: whole-leaf, merger, splitter, or plugin for a leaf and its merge in one component. The
# source may import modules beside it, and of Python's own library what needs no threads and no sockets; but only where it
# is loaded, not later: there are no files in the component, only what was loaded as it was built.
# There must be Python 3.10 or later with venv. The first run gets componentize-py into .tools/python: 70 MB, from PyPI.
# FROND_TOOLS and FROND_WIT name other folders than .tools and wit. Exit code 69: something must be installed first.
set -eu
[ $# -eq 3 ] || { sed -n '2s/^# //p' "$0" >&2; exit 64; }
world=$1 output=$2 source=$3
cd "$(dirname "$0")"

COMPONENTIZE=0.25.1
wit=${FROND_WIT:-wit}
mkdir -p "${FROND_TOOLS:-.tools}/python" "$(dirname "$output")"
tools=$(cd "${FROND_TOOLS:-.tools}/python" && pwd)/componentize-py-$COMPONENTIZE

say() { printf 'build.sh: %s\n' "$*" >&2; }
missing() { say "$1 is missing"; printf '  (%s)\n' "$2" >&2; exit 69; }

if [ ! -f "$tools/ready" ]; then
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
    missing "Python 3.10 or later" "as root: apt-get install python3 python3-venv"
  python3 -c 'import ensurepip, venv' 2>/dev/null ||
    missing "Python's venv" "as root: apt-get install python3-venv"
  say "getting componentize-py $COMPONENTIZE from PyPI into ${FROND_TOOLS:-.tools}/python, once: some seconds"
  rm -rf "$tools"
  python3 -m venv "$tools"
  "$tools/bin/pip" --disable-pip-version-check --quiet install "componentize-py==$COMPONENTIZE" >&2
  touch "$tools/ready"
fi

"$tools/bin/componentize-py" --quiet -d "$wit" -w "$world" componentize "$(basename "$source" .py)" -p . -o "$output" >&2
say "$output: $(wc -c <"$output") bytes"
