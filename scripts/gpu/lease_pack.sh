#!/usr/bin/env bash
# lease_pack.sh FOLDER: what scripts.gpu_check needs on a bare machine with Python 3.12, PyTorch for CUDA 13, NumPy 2,
# SciPy and nvcc, and no network: wheels and data in one folder of some 45 MB, to be carried there with the project.
# Run it in the project's root with a folder that git ignores (.lease is). There: bash FOLDER/lease_run.sh SECONDS
# KERNEL_STORE=/tmp/kernels: kernels that were compiled before (docs/gpu.md) are carried along, some 2 KB each.
# LEASE_THERE="matplotlib ...": packages that the machine has, beside PyTorch, NumPy and SciPy, are not carried.
set -eu
[ $# = 1 ] || { echo "usage: bash scripts/gpu/lease_pack.sh FOLDER" >&2; exit 2; }
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-python3} most=${LEASE_MOST:-64}  # MiB that may be carried, the project itself included
case "$1" in /*) target=$1 ;; *) target=$PWD/$1 ;; esac
if [ -e "$target" ] && [ ! -f "$target/lease_run.sh" ] && [ -n "$(ls -A "$target")" ]; then
    echo "error: $target holds something else; name a folder that is empty, or not there" >&2
    exit 2
fi
cd "$root"
# shellcheck disable=SC2086
packages=$("$python" -m scripts.gpu.packages ${LEASE_THERE:+--there $LEASE_THERE})
jittor=$("$python" -m scripts.gpu.packages --jittor)
rm -rf "$target/wheels" "$target/data"
mkdir -p "$target/wheels" "$target/data"
folder=$(cd "$target" && pwd)
pip() { PIP_FIND_LINKS= "$python" -m pip --quiet --disable-pip-version-check "$@"; }
platforms=$(for p in manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014 manylinux1; do
    printf -- '--platform %s_x86_64 ' $p
done)
# shellcheck disable=SC2086
pip download --no-deps --only-binary=:all: --python-version 3.12 --implementation cp $platforms \
    -d "$folder/wheels" $packages
pip wheel --no-deps -w "$folder/wheels" "$jittor"
photographs=$root/../shared/data/coco_mini
if [ -d "$photographs" ]; then cp -r "$photographs" "$folder/data/"; fi
cp scripts/gpu/lease_run.sh "$folder/"
rm -f "$folder/kernels.tar.xz"
if [ -d "${KERNEL_STORE:-}" ]; then
    (cd "$KERNEL_STORE" && find . -type f -name '*.so' | tar -cJf "$folder/kernels.tar.xz" -T -)
    echo "$(tar -tf "$folder/kernels.tar.xz" | wc -l) kernels, $(stat -c %s "$folder/kernels.tar.xz") bytes"
fi
bytes=$( (git ls-files --cached --others --exclude-standard -z | xargs -0 stat -c %s 2>/dev/null
    find "$folder" -type f -printf '%s\n') | awk '{ sum += $1 } END { print sum }')
echo "$folder: with the project $((bytes / 1048576 + 1)) MiB of $most"
[ "$bytes" -lt $((most * 1048576)) ] || { echo "error: too much to be carried" >&2; exit 1; }
