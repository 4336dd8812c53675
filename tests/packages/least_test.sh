#!/usr/bin/env bash
# A build without what a build can do without (preset `least`) ranks, and names what it lacks when that is asked for.
# Usage: tests/packages/least_test.sh     builds build/least first; `make packages-test` calls it
set -euo pipefail
cd "$(dirname "$0")/../.."
cmake --preset least >/dev/null
cmake --build --preset least
program=build/least/rerankd
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

refuses() {  # MESSAGE COMMAND...: exit status 1 or 2, and the message
  local message=$1 status=0
  shift
  timeout 60 "$program" "$@" >"$scratch/out" 2>&1 </dev/null || status=$?
  if [[ $status != [12] ]] || ! grep -qF -- "$message" "$scratch/out"; then
    echo "rerankd $*: exit status $status, wanted \"$message\"" >&2
    cat "$scratch/out" >&2
    exit 1
  fi
}
refuses "--grpc-port: this program was built without gRPC" serve --port 0 --grpc-port 20123
refuses "--cache-url: this program was built without hiredis" serve --port 0 --cache-url redis://127.0.0.1:1
refuses "--otlp-endpoint: this program was built without libcurl" serve --port 0 --otlp-endpoint http://127.0.0.1:1
for command in "serve --port 0 --model org/name" "fit org/name" "models pull org/name"; do
  # shellcheck disable=SC2086
  refuses "this program was built without libcurl and downloads nothing: name a model's folder" $command
done
refuses "--to onnx: this program was built without conversion to ONNX" convert models/rerankd-mini-en "$scratch/onnx" --to onnx
[[ ! -e $scratch/onnx ]] || { echo "a refused conversion left $scratch/onnx" >&2; exit 1; }
for library in grpc hiredis curl onnx_proto; do
  ! ldd "$program" | grep "lib$library" || { echo "it is linked to lib$library all the same" >&2; exit 1; }
done
"$program" convert models/rerankd-mini-en "$scratch/int8" --to safetensors --precision int8 >/dev/null
printf 'Paris is in France.\nPandas eat bamboo.\n' | "$program" rank --query 'what do pandas eat?' --format json >"$scratch/ranked"
python3 - "$scratch/ranked" <<'PY'
import json, sys
found = json.load(open(sys.argv[1]))
rows = found["results"] if isinstance(found, dict) else found
assert [row["index"] for row in rows] == [1, 0], rows
PY
echo "least: ranks, and names what it lacks; $(ldd "$program" | grep -c '=> /') libraries"
