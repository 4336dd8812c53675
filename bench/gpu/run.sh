#!/bin/sh
# What the CUDA engine gives on this machine's GPU: builds librerank_cuda.so, holds its answers against PyTorch's, measures
# both in turns and the card's limits, counts how often each precision ranks another document first, and runs
# compute-sanitizer where it is installed. Needs CUDA, CMake, a compiler and PyTorch. The fastest algorithm of each product
# is found in the first run, kept in the build folder, and taken by later ones; what tuning and graphs gave is shown. A part that
# hangs is ended: eleven minutes at most behind the build.
#   bench/gpu/run.sh [BUILD_FOLDER]      PYTHON=python3 names the interpreter that has PyTorch, RERANKD the program, to compare with XLA (xla.py)
# It has never run on a GPU (docs/decisions/0003).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=${1:-$here/../../build/gpu}
python=${PYTHON:-python3}

for tool in cmake "$python"; do
  command -v "$tool" >/dev/null || { echo "bench/gpu: $tool is not there" >&2; exit 1; }
done
"$python" -c "import torch, sys; sys.exit(not torch.cuda.is_available())" ||
  { echo "bench/gpu: $python has no PyTorch that sees a GPU" >&2; exit 1; }

echo "Building librerank_cuda.so in $build"
cmake -S "$here" -B "$build" >"$build.log" 2>&1 && cmake --build "$build" -j >>"$build.log" 2>&1 ||
  { tail -30 "$build.log" >&2; exit 1; }
library=$build/librerank_cuda.so

timeout 120 "$python" "$here/bench.py" --library "$library" check
timeout 240 "$python" "$here/bench.py" --library "$library" --tuning "$build/tuning.json" measure
timeout 120 "$python" "$here/fidelity.py" --library "$library"
[ -z "${RERANKD:-}" ] || timeout 240 "$python" "$here/xla.py" --rerankd "$RERANKD" || [ $? -eq 77 ]

if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck initcheck; do
    if timeout 60 compute-sanitizer --tool "$tool" --error-exitcode 9 "$python" "$here/bench.py" --library "$library" smoke \
        >"$build.$tool.log" 2>&1; then
      echo "compute-sanitizer $tool: clean"
    else
      echo "compute-sanitizer $tool: see $build.$tool.log"; tail -5 "$build.$tool.log"
    fi
  done
else
  echo "compute-sanitizer is not installed: not run"
fi
