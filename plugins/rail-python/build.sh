#!/bin/sh
# Builds a Python plugin: sh build.sh WORLD OUTPUT SOURCE.py [FILE...]
#
# WORLD is one of wit/world.wit: leaf for a leaf that takes pieces, merger, splitter, or plugin for
# leaf and merge in one component; whole-leaf and whole-plugin, if the leaf gets its partition as a
# whole. The source may import modules of this folder and its subfolders (*.py), and modules
# of Python's standard library that need no threads and no sockets. It must import them while it is
# loaded: the component is a snapshot taken after loading, and has no files. FILE names other files
# or folders of this folder that the source reads while it is loaded.
#
# The build sees no other files of the machine, so the same source makes the same component. To use
# a package, install it beside the source: `pip install --target . NAME`.
#
# It needs Python 3.10 or later with venv. The first run gets componentize-py into .tools/python: 70
# MB, from PyPI.
#
# FROND_TOOLS and FROND_WIT name other folders instead of .tools and wit.
# Exit code 69: something must be installed first.
set -eu
[ $# -ge 3 ] || { sed -n '2s/^# //p' "$0" >&2; exit 64; }
world=$1 output=$2 source=$3 named=$2
shift 3
cd "$(dirname "$0")"
. build/tools.sh

COMPONENTIZE=0.25.1
mkdir -p "${FROND_TOOLS:-.tools}/python" "$(dirname "$output")"
tools=$(cd "${FROND_TOOLS:-.tools}/python" && pwd)
wit=$(cd "${FROND_WIT:-wit}" && pwd)
output=$(cd "$(dirname "$output")" && pwd)/$(basename "$output")

# Installs into a plain folder, which may be moved. A virtual environment has its own path in its
# files.
get_componentize() {
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing "Python's venv" "as root: apt-get install python3-venv"
  say "getting componentize-py $COMPONENTIZE from PyPI into ${FROND_TOOLS:-.tools}/python, once: some seconds"
  python3 -m venv "$1/venv" &&
    "$1/venv/bin/pip" --disable-pip-version-check --quiet install --target "$1" "componentize-py==$COMPONENTIZE" >&2 &&
    rm -rf "$1/venv"
}

python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
  missing "Python 3.10 or later" "as root: apt-get install python3 python3-venv"
obtain "componentize-py-$COMPONENTIZE" componentize_py/__init__.py get_componentize

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$stage/app" "$stage/none/lib/site-packages" "$stage/tmp"
# Copies each file separately, so that links become files, and compiled files (__pycache__) are left
# out.
find . -name '.?*' -prune -o -name node_modules -prune -o -name '*.py' \( -type f -o -type l \) -exec sh -c '
  for file; do mkdir -p "$0/$(dirname "$file")" && cp "$file" "$0/$file" || exit 1; done' "$stage/app" {} +
for file; do
  mkdir -p "$stage/app/$(dirname "$file")"
  cp -RL "$file" "$stage/app/$file"
done
printf 'import sys, componentize_py\nsys.exit(componentize_py.script())\n' >"$stage/run.py"

# An empty environment keeps it from searching the packages of the machine's Python.
library=$(steady)
(cd "$stage/app" && PYTHONPATH=$tools/componentize-py-$COMPONENTIZE VIRTUAL_ENV=$stage/none TMPDIR=$stage/tmp \
  LD_PRELOAD=$library python3 "$stage/run.py" --quiet -d "$wit" -w "$world" componentize "$(basename "$source" .py)" -p . \
  -o "$stage/plugin.wasm" >&2)
put "$stage/plugin.wasm" "$output"
say "$named: $(wc -c <"$output") bytes"
