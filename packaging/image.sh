#!/usr/bin/env bash
# Makes an OCI image of a tree (packaging/tree.py) with umoci, without a daemon: no shell, no package manager, user 65532. Layers:
# system libraries, rerankd's libraries, program, built-in model: what changes seldom lies below, and what is largest comes last.
# Usage: packaging/image.sh TREE OUT.oci.tar     push it with: skopeo copy oci-archive:OUT.oci.tar docker://REGISTRY/rerankd:VERSION
set -euo pipefail
cd "$(dirname "$0")/.."
tree=$(realpath "$1") out=$(realpath -m "$2")
seconds=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
created=$(date -u -d "@$seconds" +%Y-%m-%dT%H:%M:%SZ)
version=$(sed -n 's/^project(rerankd VERSION \([^ ]*\).*/\1/p' CMakeLists.txt)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
system=$scratch/system libraries=$scratch/libraries program=$scratch/program model=$scratch/model

# The system's part: what ldd names outside the tree, certificates, and the two users that exist.
mkdir -p "$system"/{etc/ssl/certs,lib64,usr/lib/x86_64-linux-gnu,tmp,models}
ln -s usr/lib "$system/lib"
{ ldd "$tree/bin/rerankd"; ldd "$tree"/lib/rerankd/*.so*; } | awk '$2 == "=>" { print $3 } $1 ~ /^\/lib/ { print $1 }' |
  grep -v "^$tree" | sort -u |
  while read -r file; do
    case "$file" in
      */ld-linux-x86-64.so.2) cp -L "$file" "$system/lib64/" ;;
      *) cp -L "$file" "$system/usr/lib/x86_64-linux-gnu/" ;;
    esac
  done
cp /etc/ssl/certs/ca-certificates.crt "$system/etc/ssl/certs/"
printf 'root:x:0:0:root:/:/nonexistent\nrerankd:x:65532:65532:rerankd:/models:/nonexistent\n' >"$system/etc/passwd"
printf 'root:x:0:\nrerankd:x:65532:\n' >"$system/etc/group"
printf 'hosts: files dns\n' >"$system/etc/nsswitch.conf"
chmod 1777 "$system/tmp" "$system/models"
mkdir -p "$libraries/usr/lib" "$program/usr"/{bin,share/doc} "$model/usr/share/rerankd"
cp -a "$tree/lib/rerankd" "$libraries/usr/lib/"
cp -a "$tree/bin/rerankd" "$program/usr/bin/"
cp -a "$tree/share/doc/rerankd" "$program/usr/share/doc/"
cp -a "$tree/share/rerankd/models" "$model/usr/share/rerankd/"
find "$scratch" -exec touch -h -d "@$seconds" {} +

layout=$scratch/oci
umoci init --layout "$layout"
umoci new --image "$layout:$version"
for layer in system libraries program model; do
  rootless=()
  ((EUID == 0)) || rootless=(--rootless)
  umoci insert "${rootless[@]}" --image "$layout:$version" --history.created "$created" \
    --history.created_by "packaging/image.sh: $layer" "$scratch/$layer" / >/dev/null
done
umoci config --image "$layout:$version" --created "$created" --history.created "$created" --os linux --architecture amd64 --config.user 65532:65532 \
  --config.entrypoint /usr/bin/rerankd --config.cmd serve --config.cmd --host --config.cmd 0.0.0.0 \
  --config.env HF_HOME=/models --config.env PATH=/usr/bin --config.exposedports 8080/tcp --config.volume /models \
  --config.stopsignal SIGTERM --config.workingdir / \
  --config.label org.opencontainers.image.title=rerankd --config.label "org.opencontainers.image.version=$version" \
  --config.label org.opencontainers.image.licenses=Apache-2.0
umoci gc --layout "$layout"
mkdir -p "$(dirname "$out")"
tar --sort=name --mtime="@$seconds" --owner=0 --group=0 --numeric-owner -C "$layout" -cf "$out" .
ls -l "$out"
