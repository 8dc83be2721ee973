"""What a CUDA home holds beside links: headers and an nvcc, generated; docs/gpu.md tells which message each answers."""

from __future__ import annotations

CUDNN_9 = """// cuDNN 9 has dropped the recurrent functions that Jittor's LSTM and GRU name: they compile, and
// answer that they are not supported when they are called
#pragma once
#include "{real}"
template <class... A> inline cudnnStatus_t dropped_in_cudnn_9(A&&...) {{
    return CUDNN_STATUS_NOT_SUPPORTED;
}}
{defines}
"""
CUDNN_9_DROPPED = (
    *("cudnnSetRNNDescriptor_v6", "cudnnGetRNNParamsSize", "cudnnGetRNNWorkspaceSize"),
    *("cudnnGetRNNTrainingReserveSize", "cudnnGetRNNLinLayerMatrixParams"),
    *("cudnnGetRNNLinLayerBiasParams", "cudnnRNNForwardTraining", "cudnnRNNForwardInference"),
    *("cudnnRNNBackwardData", "cudnnRNNBackwardWeights"),
)
# names of libraries that Jittor opens, and what they are called in cuDNN 9
CUDNN_9_LIBRARIES = {
    f"cudnn_{new}_{part}": f"cudnn_{new}" for new in ("ops", "cnn") for part in ("infer", "train")
}
RUNTIME_13 = """// CUDA 13 has dropped two members of cudaDeviceProp that a sample header inside Jittor names
#pragma once
#include "{real}"
#ifdef __cplusplus
struct DevicePropertiesOfCuda12 : public cudaDeviceProp {{ int computeMode = 0, clockRate = 1; }};
#define cudaDeviceProp DevicePropertiesOfCuda12
#endif
"""
CUB_3 = """// CCCL 3 has dropped iterators and functors that Jittor's where, unique, argmax and softmax use
#pragma once
#include "{real}"
#include <cub/version.cuh>
#if CUB_VERSION >= 300000
#include <thrust/iterator/counting_iterator.h>
#include <thrust/iterator/transform_iterator.h>
namespace cub {{
template <class T, class Offset = ptrdiff_t> using CountingInputIterator = thrust::counting_iterator<T>;
template <class T, class F, class It, class Offset = ptrdiff_t>
using TransformInputIterator = thrust::transform_iterator<F, It, T, T>;
struct Max {{
    template <class A, class B>
    __host__ __device__ typename std::common_type<A, B>::type operator()(A&& a, B&& b) const {{
        return a < b ? b : a;
    }}
}};
struct Min {{
    template <class A, class B>
    __host__ __device__ typename std::common_type<A, B>::type operator()(A&& a, B&& b) const {{
        return b < a ? b : a;
    }}
}};
struct Sum {{
    template <class A, class B>
    __host__ __device__ auto operator()(A&& a, B&& b) const -> decltype(a + b) {{
        return a + b;
    }}
}};
#ifdef __CUDACC__
__device__ inline unsigned LaneId() {{
    unsigned lane;
    asm("mov.u32 %0, %%laneid;" : "=r"(lane));
    return lane;
}}
#endif
}}
#endif
"""
NPP = """// the limits that Jittor takes from NPP, which is in none of PyTorch's wheels
#pragma once
#define NPP_MIN_32U (0)
#define NPP_MAX_32U (4294967295U)
#define NPP_MIN_32S (-2147483647 - 1)
#define NPP_MAX_32S (2147483647)
#define NPP_MIN_64U (0)
#define NPP_MAX_64U (18446744073709551615ULL)
#define NPP_MIN_64S (-9223372036854775807LL - 1)
#define NPP_MAX_64S (9223372036854775807LL)
"""
NVCC = """#!/bin/sh
# the nvcc that Jittor calls: the real one, with the C++ standard that this toolkit's headers need
case "$1" in --version|-V) exec '{real}' "$@";; esac
out= source= named= asked={made} folders=
for word in "$@"; do
    shift
    # written beside and moved: another process that looks for the kernel finds it whole or not at all
    [ "$named" ] && out=$word word=$word.$$
    named=
    # what is kept for other machines runs on any x86-64 of the last ten years
    [ "$KERNEL_STORE" ] && case "$word" in *-march=native) word=${{word%native}}x86-64-v3;; esac
    case "$word" in
        -o) named=yes;; *_op.cc) source=$word;; -L*) folders="$folders ${{word#-L}}";;
        */*) ;; *) asked="$asked $word";; esac
    set -- "$@" "$word"
done
{store}finish() {{
    code=$?
    [ -z "$out" ] || [ ! -f "$out.$$" ] || if [ $code = 0 ]; then
        [ -z "$stored" ] || {{ cp "$out.$$" "$stored.$$" && mv -f "$stored.$$" "$stored"; }}
        mv -f "$out.$$" "$out"
    else rm -f "$out.$$"; fi
    exit $code
}}
{light}for word in "$@"; do
    shift
    [ "$word" = -std=c++14 ] && word={standard}
    set -- "$@" "$word"
done
'{real}' "$@" {extra}
finish
"""
# what Jittor asks for, C++14, is parsed a sixth faster than what CCCL 3 needs; docs/jittor.md has the measurement
LIGHT = """# a kernel that Jittor generated without CUB compiles as Jittor wants it; if not, then as everything else
if [ -f "$source" ] && grep -q '^#define JIT_cuda 1' "$source" &&
    ! grep -Eq 'include *[<"](cub|thrust|cuda)/' "$source"; then
    '{real}' "$@" {extra} 2>/dev/null && finish
fi
"""
# a kernel names a library of Jittor's that is elsewhere on another machine: it is looked for in the store, too
STORE = """# KERNEL_STORE: a folder of kernels by what they are made of, at the same place on the machines that share it
stored=
if [ "$KERNEL_STORE" ] && [ "$out" ] && [ -f "$source" ]; then
    mkdir -p "$KERNEL_STORE"
    for library in $(for folder in $folders; do ls "$folder"/*.cpython-*.so 2>/dev/null; done); do
        link=$KERNEL_STORE/${{library##*/}}
        [ "$link" -ef "$library" ] || {{ ln -s "$library" "$link.$$" && mv -fT "$link.$$" "$link"; }}
    done
    stored=$KERNEL_STORE/$({{ echo "$asked"; cat "$source"; }} | sha256sum | cut -c1-32).so
    [ -f "$stored" ] && cp "$stored" "$out.$$" && mv -f "$out.$$" "$out" && exit 0
    set -- "$@" -Xlinker "-rpath=$KERNEL_STORE"
fi
"""
CHECK = """#include <cuda_runtime.h>
#include <cublas_v2.h>
#include <curand.h>
#include <cub/cub.cuh>
#include <npp.h>
{cudnn}
struct Twice {{ __host__ __device__ int operator()(int v) const {{ return 2 * v; }} }};
typedef cub::TransformInputIterator<int, Twice, cub::CountingInputIterator<int>> Iterator;
__global__ void fill(int* out) {{ out[threadIdx.x] = (int)cub::LaneId() + NPP_MAX_32S; }}
int sum(int* out, void* scratch, size_t size) {{
    cudaDeviceProp properties;
    properties.clockRate = properties.computeMode;
    Iterator first(cub::CountingInputIterator<int>(0), Twice());
    return cub::DeviceReduce::Reduce(scratch, size, first, out, 9, cub::Max(), 0);
}}
"""
