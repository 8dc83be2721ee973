#!/usr/bin/env bash
# lease_pack.sh FOLDER: what scripts.gpu_check needs on a bare machine with Python 3.12, PyTorch for CUDA 13, NumPy 2,
# SciPy and nvcc, and no network: wheels and data in one folder of some 50 MB, to be carried there with the project.
# Run it in the project's root with a folder that git ignores. There: bash FOLDER/lease_run.sh SECONDS [options ...]
set -eu
[ $# = 1 ] || { echo "usage: bash scripts/gpu/lease_pack.sh FOLDER" >&2; exit 2; }
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-python3}
# what is imported, and no more: 64 MiB may be carried
packages="pycocotools safetensors rich markdown-it-py mdurl pygments astunparse six tqdm jinja2 markupsafe pillow
matplotlib contourpy cycler fonttools kiwisolver pyparsing python-dateutil packaging tensorboard absl-py protobuf
pytest pluggy iniconfig"
mkdir -p "$1/wheels" "$1/data"
folder=$(cd "$1" && pwd)
pip() { PIP_FIND_LINKS= "$python" -m pip --quiet --disable-pip-version-check "$@"; }
platforms=$(for p in manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014 manylinux1; do
    printf -- '--platform %s_x86_64 ' $p
done)
# shellcheck disable=SC2086
pip download --no-deps --only-binary=:all: --python-version 3.12 --implementation cp $platforms \
    -d "$folder/wheels" $packages
jittor=$(sed -n 's/^jittor==/jittor==/p' "$root/constraints.txt")
ls "$folder"/wheels/jittor-*.whl >/dev/null 2>&1 || pip wheel --no-deps -w "$folder/wheels" "$jittor"
photographs=$root/../shared/data/coco_mini
[ ! -d "$photographs" ] || cp -r "$photographs" "$folder/data/"
cp "$root/scripts/gpu/lease_run.sh" "$folder/"
du -sh "$folder"
