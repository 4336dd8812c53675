#!/bin/sh
# The first thing to run on a GPU, and the first thing to read about one: builds librerank_cuda.so for the card that is here,
# runs every path of it without PyTorch, memcheck on our kernels, answers of every precision and kind of attention against
# PyTorch, then times in turns, the other checks of compute-sanitizer, and how far each precision moves rankings.
#
# No step ends the others. Each has a limit and a log of its own; what is found is written as it comes, into results.md and
# results.jsonl, and the table at the end says PASS or FAIL. What fails is run again with launches that block, without tuning,
# and with cuBLASLt's log. About eight minutes after the build; the most important first.
#
#   bench/gpu/run.sh [BUILD_FOLDER]         on a GPU. Needs CUDA, CMake, a compiler; PyTorch and compute-sanitizer where there are
#   bench/gpu/run.sh --dry [BUILD_FOLDER]   without a GPU: builds, and says everything that can be known without one
#
# PYTHON names the interpreter that has PyTorch (python3); LIBRARY a librerank_cuda.so that is there already: with --dry an
# emulated one, over which every step runs that can. It has never run on a GPU (docs/decisions/0003).
set -u
dry=0
[ "${1:-}" = --dry ] && { dry=1; shift; }
here=$(cd "$(dirname "$0")" && pwd)
build=${1:-$here/../../build/gpu}
python=${PYTHON:-python3}
library=${LIBRARY:-}
mkdir -p "$build/logs" && build=$(cd "$build" && pwd) || exit 1
logs=$build/logs
results=$build/results
rm -f "$results.md" "$results.jsonl" "$logs"/*.log
export PYTHONUNBUFFERED=1
table="" failed=""
quick="" few="" fewest="" lists="--lists 200"
# An emulation is slow: tests/cuda has the rest.
[ $dry = 1 ] && {
  quick=--quick
  few="--shapes heads_of_64,heads_of_48,RoPE_in_a_window,decoder,vectors,window_and_first,convolution,experts,decoder_of_experts"
  fewest="--shapes heads_of_64,decoder,vectors"
  lists="--lists 2 --depth 3 --tokens 40"
}

note() { printf '%s\n' "$*" | tee -a "$results.md"; }

# step NAME SECONDS COMMAND...: its output here and in NAME.log; PASS, FAIL or TIMEOUT into the table.
step() {
  name=$1 limit=$2
  [ $dry = 0 ] || limit=$((limit * 5))  # an emulation, perhaps beside other tests
  shift 2
  begin=$(date +%s)
  note "
== $name"
  { timeout -k 5 "$limit" "$@" 2>&1; echo $? >"$logs/$name.status"; } | tee "$logs/$name.log"
  code=$(cat "$logs/$name.status")
  outcome=PASS
  [ "$code" = 0 ] || outcome="FAIL ($code)"
  [ "$code" = 124 ] || [ "$code" = 137 ] && outcome="TIMEOUT ($limit s)"
  table="$table
| $name | $outcome | $(($(date +%s) - begin)) s | $logs/$name.log |"
  [ "$code" = 0 ] || failed="$failed $name"
  return "$code"
}

# skip NAME WHY
skip() {
  note "
== $1: not run: $2"
  table="$table
| $1 | not run | - | $2 |"
}

# What failed once more, so that the message names the kernel or the product: launches that block, cuBLASLt's first guess and
# its log. bench_step NAME SECONDS WHAT ARGUMENTS...
bench_step() {
  bench_name=$1 bench_limit=$2 what=$3
  shift 3
  step "$bench_name" "$bench_limit" "$python" "$here/bench.py" --library "$library" --results "$results" $quick "$@" "$what" && return 0
  step "$bench_name-blocking" "$bench_limit" env CUDA_LAUNCH_BLOCKING=1 CUBLASLT_LOG_LEVEL=2 \
    CUBLASLT_LOG_FILE="$logs/$bench_name-cublaslt.log" "$python" "$here/bench.py" --library "$library" --candidates 1 $quick "$@" "$what"
  return 1
}

versions() {
  if command -v nvidia-smi >/dev/null; then nvidia-smi 2>&1 | head -15; else echo "nvidia-smi is not here: no NVIDIA driver, or none in this container"; fi
  { command -v nvcc || ls /usr/local/cuda/bin/nvcc; } 2>/dev/null || echo "nvcc is not on the path"
  cmake --version | head -1
  "$python" - <<'END'
import sys
print("Python", sys.version.split()[0])
try:
    import torch
    print("PyTorch", torch.__version__, "CUDA", torch.version.cuda, "GPUs", torch.cuda.device_count())
except ImportError:
    print("PyTorch: not here; answers are held against the engine's own fp32, and no floors are measured")
END
  command -v compute-sanitizer || echo "compute-sanitizer is not here: its steps are not run"
  command -v ncu || echo "ncu is not here"
}

# For the card at hand only; warnings are warnings. cuBLASLt of PyTorch's wheel where the toolkit has none.
build_library() {
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -1 | tr -d .)
  case $capability in
    90) capability=90a ;;
    "") capability="80;89;90a" ;;
  esac
  wheel=$("$python" -c "import sys; sys.path.insert(0, '$here'); import plugin; print(*[f.parent for f in plugin.torch_cublas()][:1])" 2>/dev/null)
  cmake -S "$here" -B "$build" -DCMAKE_BUILD_TYPE=Release -DRERANKD_CUDA_ARCHITECTURES="$capability" -DRERANKD_CUDA_PTX=OFF \
    -DRERANKD_CUDA_WERROR=OFF ${wheel:+-DRERANKD_CUBLASLT="$wheel"} && cmake --build "$build" -j
}

versions 2>&1 | tee -a "$results.md" "$logs/versions.log"
if [ -z "$library" ]; then
  library=$build/librerank_cuda.so
  (build_library) >"$logs/build.log" 2>&1
  step build 5 sh -c "tail -3 '$logs/build.log'; test -e '$library'" || { tail -30 "$logs/build.log"; note "The library was not built."; exit 1; }
fi
step about 30 "$python" "$here/bench.py" --library "$library" about
seen=$("$python" "$here/bench.py" --library "$library" --results "$build/probe" devices 2>&1) && gpu=1 || gpu=0
note "$seen"
[ $dry = 0 ] || [ $gpu = 0 ] || note "This is an emulation: it shows that every step runs and that answers are right; its times mean nothing."
rm -f "$build"/probe.*
if [ $dry = 1 ] && [ -e "$build/librerank_cuda.so" ]; then
  step budgets 120 "$python" "$here/budgets.py" "$build/librerank_cuda.so"
fi

if [ $gpu = 0 ]; then
  for name in smoke memcheck check measure sanitizers fidelity; do skip $name "no GPU"; done
else
  bench_step smoke 60 smoke --candidates 1 $fewest
  sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
  # Our kernels only: cuBLASLt's are NVIDIA's business, and take most of the time.
  sanitize() {
    [ -n "$sanitizer" ] || { skip "$1" "compute-sanitizer is not here"; return; }
    step "$1" "$2" "$sanitizer" --tool "$1" --kernel-name kns=rerank --error-exitcode 9 "$python" "$here/bench.py" --library "$library" \
      --candidates 1 --quick --shapes "$3" smoke
  }
  sanitize memcheck 120 heads_of_64,window,RoPE,heads_of_48,decoder,vectors,window_and_first,convolution,experts
  for precision in fp32 fp16 bf16 fp8; do bench_step "check-$precision" 60 check --precisions $precision $few; done
  # Each part by itself: a part that hangs or ends the process takes no other with it.
  for part in floors,large profile wgmma small mixed decoder graphs,overlap families; do
    bench_step "measure-$(echo $part | tr , -)" 90 measure --only $part --tuning "$build/tuning.json"
  done
  if [ $dry = 1 ]; then
    skip ncu "an emulation"
    skip xla "an emulation"
  else
    # Two of our kernels by themselves: what bounds them.
    if command -v ncu >/dev/null; then
      step ncu 60 ncu --target-processes all -k 'regex:attention_kernel|residual_kernel' -c 6 --section SpeedOfLight --section Occupancy \
        "$python" "$here/bench.py" --library "$library" --candidates 1 --shapes MiniLM-L6 --precisions bf16 smoke
    else
      skip ncu "ncu is not here"
    fi
    step xla 120 "$python" "$here/xla.py"
  fi
  for tool in racecheck synccheck initcheck; do sanitize $tool 60 heads_of_64,window,experts; done
  step fidelity 120 "$python" "$here/fidelity.py" --library "$library" $lists
fi

note "
| step | | took | log |
|---|---|---|---|$table"
[ -z "$failed" ] || { note "
Failed:$failed"; exit 1; }
