#!/bin/sh
# A broker, two workers and a root on this machine. One worker is killed in the midst of a query over
# the sources of all crates that this project was built from. Run by `make cluster`.
set -eu
frond=target/release/frond
nats=$(ls -d "${FROND_TOOLS:-$PWD/.tools}"/nats/*/bin/nats-server | tail -n 1)
text="${CARGO_HOME:-$HOME/.cargo}/registry/src/**/*.rs"
run=target/cluster
rm -rf "$run"
mkdir -p "$run"
pids=
trap 'kill $pids 2>/dev/null || true' EXIT

echo "== a broker and two workers, on loopback and free ports"
"$nats" -a 127.0.0.1 -p -1 --ports_file_dir "$run" >"$run/broker.log" 2>&1 &
pids="$pids $!"
until url=$(sed -n 's/.*"\(nats:[^"]*\)".*/\1/p' "$run"/*.ports 2>/dev/null) && [ -n "$url" ]; do sleep 0.1; done
for name in steady victim; do
  "$frond" worker --nats "$url" --name "$name" --slots 1 --trust-roots 2>"$run/$name.log" &
  pids="$pids $!"
  eval "$name=$!"
  until grep -q worker "$run/$name.log"; do sleep 0.1; done
done

echo "== the words of all sources, by one process"
"$frond" query examples/wordcount '{"top":5}' --input "$text" --deadline 10m >"$run/alone.json" 2>/dev/null

echo "== the same by the two workers; one is killed (SIGKILL) once leaves have ended"
echo "   frond query examples/wordcount '{\"top\":5}' --input '$text' --nats $url --local false"
"$frond" query examples/wordcount '{"top":5}' --input "$text" --deadline 10m --nats "$url" --local false \
  --stats --record "$run/run.ndjson" >"$run/workers.json" 2>"$run/query.log" &
query=$!
until grep -q attempt-ended "$run/run.ndjson" 2>/dev/null; do kill -0 "$query" 2>/dev/null || break; sleep 0.02; done
# shellcheck disable=SC2154
kill -9 "$victim"
wait "$query"
cat "$run/query.log"
echo
"$frond" explain "$run/run.ndjson" | head -n 40
cmp "$run/alone.json" "$run/workers.json"
echo
echo "== the answers are the same, byte for byte:"
cat "$run/workers.json"
