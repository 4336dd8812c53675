#!/usr/bin/env bash
# Drives a server with schemathesis through /openapi.json: no 5xx, no status, header or body that the description does not
# have, no valid request refused.
#
#   tests/openapi/run.sh [--rerankd build/release/rerankd] [--examples 1600] [--seed 1]
#
# 1600 examples an operation are more than 20,000 requests and take some fifteen minutes. Makes .venv-openapi on its first run.
# Not checked: negative_data_rejection. Real clients send nulls, strings for booleans and fields of other servers; to refuse
# them is what this server is made not to do.
set -euo pipefail
cd "$(dirname "$0")/../.."
program=build/release/rerankd examples=1600 seed=1
while (($#)); do
  case $1 in
    --rerankd) program=$2 ;;
    --examples) examples=$2 ;;
    --seed) seed=$2 ;;
    *) sed -n '2,10p' "$0"; exit 2 ;;
  esac
  shift 2
done

if ! [ -x .venv-openapi/bin/schemathesis ]; then
  python3 -m venv .venv-openapi
  .venv-openapi/bin/pip install -q -r requirements/openapi.txt
fi

work=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server"; wait "$server" || true; fi; rm -rf "$work"' EXIT
"$program" serve --port 0 --model models/rerankd-mini-en --api-key schemathesis-key 2> "$work/log" &
server=$!
until grep -q 'listening on' "$work/log"; do
  kill -0 "$server" || { cat "$work/log"; exit 1; }
  sleep 0.2
done
url=$(grep -o 'http://127.0.0.1:[0-9]*' "$work/log" | tail -1)

source=$PWD
cd "$work"
SCHEMATHESIS_HOOKS=$source/tests/openapi/hooks.py PYTHONDONTWRITEBYTECODE=1 "$source/.venv-openapi/bin/schemathesis" run \
  "$url/openapi.json" --header 'Authorization: Bearer schemathesis-key' --exclude-checks negative_data_rejection \
  --phases examples,coverage,fuzzing -n "$examples" --seed "$seed" --continue-on-failure --no-color --warnings off
kill -0 "$server" || { echo "the server has gone"; exit 1; }
