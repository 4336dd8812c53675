#!/usr/bin/env bash
# Starts the server on the built-in model, reranks one real request over HTTP, shows the ranking.
# Usage: demo.sh PROGRAM [--keep]   (--keep leaves the server running)
set -euo pipefail
program=$1
keep=${2:-}
log=$(mktemp)

"$program" serve --port 0 >"$log" 2>&1 &
server=$!
trap '[[ $keep == --keep ]] || kill $server 2>/dev/null || true; rm -f "$log"' EXIT
for _ in $(seq 300); do
  url=$(sed -n 's/.*listening on \(http:[^ ]*\).*/\1/p' "$log")
  [[ -n $url ]] && break
  kill -0 $server 2>/dev/null || { cat "$log" >&2; echo "demo: the server did not start" >&2; exit 1; }
  sleep 0.1
done
[[ -n $url ]] || { cat "$log" >&2; echo "demo: the server did not come up within 30 s" >&2; exit 1; }
cat "$log"

read -r -d '' body <<'JSON' || true
{"model": "rerankd-mini-en", "query": "How do I stop a server without losing requests?", "top_n": 5, "documents": [
  "Send SIGTERM: the server stops accepting connections, finishes every request it has accepted, and then exits.",
  "The waiter served the soup before the guests had finished their bread.",
  "A rolling restart drains one instance at a time, so that clients never see an error.",
  "Servers in this data centre are cooled with sea water.",
  "kill -9 ends a process at once; requests in flight are lost.",
  "Pandas are bears that live in the mountains of central China."]}
JSON
echo
echo "\$ curl $url/v1/rerank -H 'Content-Type: application/json' -d '$body'"
echo
answer=$(curl -sS --fail-with-body --max-time 60 "$url/v1/rerank" -H 'Content-Type: application/json' -d "$body")
printf '%s' "$answer" | python3 -c '
import json, sys
answer = json.load(sys.stdin)
print("rank   score  document")
for rank, result in enumerate(answer["results"], 1):
    print("%4d  %6.4f  %s" % (rank, result["relevance_score"], result["document"]["text"]))
print("\n%s, %d tokens" % (answer["model"], answer["usage"]["total_tokens"]))'
echo
if [[ $keep == --keep ]]; then
  echo "The server runs on at $url (process $server). Stop it with:  kill $server"
else
  echo "The server is stopped now. Keep one running with:  $program serve        (Ctrl-C stops it)"
fi
