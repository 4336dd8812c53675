#!/usr/bin/env bash
# Packs a model folder into an OCI image with that one layer, for image volumes of Kubernetes (chart: model.source=image).
# Usage: tools/model_image.sh MODEL_FOLDER OUT.oci.tar [TAG]      push it with: skopeo copy oci-archive:OUT.oci.tar docker://...
set -euo pipefail
model=$(realpath "$1") out=$(realpath -m "$2") tag=${3:-latest}
[ -f "$model/config.json" ] || { echo "$model: no config.json; a model folder of the Hugging Face hub is wanted" >&2; exit 1; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
umoci init --layout "$scratch/oci"
umoci new --image "$scratch/oci:$tag"
rootless=()
((EUID == 0)) || rootless=(--rootless)
umoci insert "${rootless[@]}" --image "$scratch/oci:$tag" "$model" / >/dev/null
umoci config --image "$scratch/oci:$tag" --config.label "org.opencontainers.image.title=$(basename "$model")"
umoci gc --layout "$scratch/oci"
tar -C "$scratch/oci" -cf "$out" .
ls -l "$out"
