#!/usr/bin/env bash
# clang-tidy 14 with the checks of .clang-tidy over the sources of src/ (tests beside them are left out), or of the folders given:
# tools/tidy.sh src/schedule src/rank. Needs a configured release build; Debian: apt-get install clang-tidy-14.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v clang-tidy-14 >/dev/null || { echo "tidy: no clang-tidy-14 (apt-get install clang-tidy-14)" >&2; exit 1; }
[ -e build/release/compile_commands.json ] || { echo "tidy: cmake --preset release first" >&2; exit 1; }

# Left out: what this build does not compile; coroutines, which clang 14 does not find in g++ 12's library; kernels, which it takes minutes for; gRPC's handlers are
# not: they take 15 s each.
left_out='^src/(server/(client_stream|connection[a-z_]*|http_server)|load/http_target)\.cc$|/(kernels|tile_kernels)\.cc$|_test\.cc$'
mapfile -t files < <(git ls-files "${@:-src}" | grep '\.cc$' | grep -vE "$left_out" |
                     while read -r file; do if grep -qF "\"$PWD/$file\"" build/release/compile_commands.json; then echo "$file"; fi; done)
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -n 1 clang-tidy-14 -p build/release --quiet 2> >(grep -v ' warnings\? generated\.$' >&2)
echo "tidy: ${#files[@]} files"
