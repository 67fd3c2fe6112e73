#!/bin/sh
# Builds a JavaScript plugin: sh build.sh WORLD OUTPUT SOURCE.js
#
# WORLD is one of wit/world.wit: whole-leaf, merger, splitter, or plugin for a leaf and its merge in one component. The
# source is an ES module, and may import modules beside it. The engine is QuickJS: the language, and nothing of a browser's.
# There must be Node.js 18 or later with npm. The first run gets componentize-qjs into .tools/javascript: 40 MB, from npm.
# FROND_TOOLS and FROND_WIT name other folders than .tools and wit. Exit code 69: something must be installed first.
set -eu
[ $# -eq 3 ] || { sed -n '2s/^# //p' "$0" >&2; exit 64; }
world=$1 output=$2 source=$3
cd "$(dirname "$0")"

COMPONENTIZE=0.4.5
wit=${FROND_WIT:-wit}
mkdir -p "${FROND_TOOLS:-.tools}/javascript" "$(dirname "$output")"
tools=$(cd "${FROND_TOOLS:-.tools}/javascript" && pwd)/componentize-qjs-$COMPONENTIZE

say() { printf 'build.sh: %s\n' "$*" >&2; }
missing() { say "$1 is missing"; printf '  (%s)\n' "$2" >&2; exit 69; }

remedy='as root: apt-get install nodejs npm; or from https://nodejs.org'
node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' 2>/dev/null || missing "Node.js 18 or later" "$remedy"
if [ ! -f "$tools/ready" ]; then
  command -v npm >/dev/null || missing "npm" "$remedy"
  say "getting componentize-qjs $COMPONENTIZE from npm into ${FROND_TOOLS:-.tools}/javascript, once: some seconds"
  rm -rf "$tools"
  mkdir -p "$tools"
  npm --prefix "$tools" --no-fund --no-audit --loglevel=error install "componentize-qjs@$COMPONENTIZE" >&2
  touch "$tools/ready"
fi

# Without --sync the component needs an asynchronous host.
node "$tools/node_modules/componentize-qjs/cli.mjs" --sync --wit "$wit" --world "$world" --js "$source" -o "$output" \
  >"$output.log" 2>&1 || { cat "$output.log" >&2; rm -f "$output.log"; exit 1; }
rm -f "$output.log"
say "$output: $(wc -c <"$output") bytes"
