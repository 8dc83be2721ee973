#!/usr/bin/env bash
# lease_run.sh SECONDS [options of scripts.gpu_check ...]: on the machine itself, in the project's root.
# Sets up once, then checks until the seconds are over. Results land in $OUT (default: below /tmp/lease). HOME lies in
# /tmp/lease, too, with Jittor's cache, so that a second call goes on; Jittor would remember a JITTOR_HOME.
# Kernels that were carried along are not compiled again; $OUT/kernels.tar.xz brings back those that were. $OUT/core.tar.xz
# is Jittor's core: beside lease_run.sh in a later lease it is taken, where the machine is of the same kind.
# LEASE_PYTHON, LEASE_DEVICE=cpu: for a rehearsal.
set -u
case "${1:-}" in '' | *[!0-9]*) echo "usage: bash lease_run.sh SECONDS [options of scripts.gpu_check ...]" >&2; exit 2 ;; esac
began=$(date +%s) seconds=$1
shift
folder=$(cd "$(dirname "$0")" && pwd) place=${LEASE_PLACE:-/tmp/lease} python=${LEASE_PYTHON:-python3}
site=$place/site out=${OUT:-$place/out}
export KERNEL_STORE=${KERNEL_STORE:-/tmp/kernels}
mkdir -p "$out" "$place/home"
unpack() { mkdir -p "$2" && [ ! -f "$1" ] || tar -xJf "$1" -C "$2"; }
if [ ! -f "$place/.installed" ]; then
    # wheels of what the machine has already are left out: its own were made for it
    wanted=
    for wheel in "$folder"/wheels/*.whl; do
        name=$(basename "$wheel" | cut -d- -f1)
        "$python" -c "import sys; from importlib.metadata import version; version(sys.argv[1])" "$name" 2>/dev/null ||
            wanted="$wanted $wheel"
    done
    # shellcheck disable=SC2086
    [ -z "$wanted" ] || "$python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-compile \
        --no-cache-dir --target "$site" $wanted || { echo "error: the wheels cannot be installed" >&2; exit 3; }
    unpack "$folder/kernels.tar.xz" "$KERNEL_STORE"
    find "$KERNEL_STORE" -type f -exec touch -d @0 {} +
    unpack "$folder/core.tar.xz" "$place/home/.cache/jittor"
    rm -rf "$place"/home/.cache/jittor/cuda-home-*  # links: made anew in a second
    touch "$place/.installed"
fi
[ -e ../shared/data ] || { mkdir -p ../shared && ln -s "$folder/data" ../shared/data; }
[ ! -f "$folder/core.tar.xz" ] || [ "${LEASE_DEVICE:-}" ] || "$python" - "$place/home/.cache/jittor" <<'EOF'
# Jittor names the folder of its core by the name of the host, too: this host gets one that leads to the carried core
import hashlib, pathlib, platform, socket, sys
def folder(host):
    name = platform.platform() + host
    for _ in range(2):
        name = name[:14] + "x" + hashlib.md5(name.encode()).hexdigest()[:2]
    return name
there = {path.name for path in pathlib.Path(sys.argv[1]).glob("jt*/*/*/*")}
if folder(platform.node()) not in there:
    hosts = (host for n in range(5000) if folder(host := f"lease-{n}") in there)
    socket.sethostname(next(hosts, platform.node()))
EOF
export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 HOME="$place/home"
nvidia-smi -L 2>/dev/null
"$python" -c 'import torch, numpy; print("torch", torch.__version__, "numpy", numpy.__version__, torch.cuda.is_available())'
left=$((seconds - ($(date +%s) - began) - 5))
echo "set up in $(($(date +%s) - began)) s, $left s left"
# what is known so far lies in $OUT all the time: a command that outlasts its limit is killed, and all that it started
save() {
    [ -f "$place/gpu/check.json" ] || return 0
    cp "$place/gpu/check.json" "$place/saved.json" && cp "$place/saved.json" "$out/check.json"
    tar czf "$place/saved.tgz" --exclude='*.safetensors' --exclude='*.pth' --exclude='*.npz' -C "$place" gpu 2>/dev/null
    [ "$(stat -c %s "$place/saved.tgz")" -gt $((15 * 1048576)) ] &&  # more than comes back: without charts and pages
        tar czf "$place/saved.tgz" -C "$place" --exclude='*.npz' $(cd "$place" && ls gpu/*.json gpu/*.log)
    cp "$place/saved.tgz" "$out/gpu.tgz"
}
(while sleep "${LEASE_SAVE:-10}" && kill -0 $$ 2>/dev/null; do save; done) &
saver=$!
export XZ_OPT="-1 -T0"
"$python" -m scripts.gpu_check --seconds "$left" --out "$place/gpu" ${LEASE_DEVICE:+--device "$LEASE_DEVICE"} "$@"
code=$?
kill $saver 2>/dev/null
wait $saver 2>/dev/null
save
(cd "$KERNEL_STORE" && find . -type f -name '*.so' -newermt @1 | tar -cJf "$out/kernels.tar.xz" -T -)
[ ! -d "$place/home/.cache/jittor" ] || tar -cJf "$out/core.tar.xz" --exclude='jit/*' --exclude='*.gch' -C "$place/home/.cache/jittor" .
echo "ended with $code after $(($(date +%s) - began)) s"
exit $code
