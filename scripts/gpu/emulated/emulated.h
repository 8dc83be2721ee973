// CUDA's words for g++: kernels run on the CPU, thread after thread, in the order that EMULATED_ORDER says ("reversed"
// or forward), so that results which depend on the order of threads show. scripts/gpu/emulated.py turns launches into
// calls of emulated::launch. What the driver refuses is refused here: an empty grid, too many threads.
//
// With EMULATED_TOGETHER, defined where a kernel waits for its neighbours, each thread of a block has a stack of its own
// and goes on where it waited; without it a kernel that waits does not compile. Warps are 32 neighbours.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>
#ifdef EMULATED_TOGETHER
#include <ucontext.h>
#endif
#ifdef EMULATED_IN_JITTOR  // NVIDIA's headers, as a host's compiler sees them, come first
#include <cuda_runtime.h>
#include <cuda_fp16.h>
#include <cuda_bf16.h>
#undef __global__
#undef __device__
#undef __host__
#undef __shared__
#undef __constant__
#undef __forceinline__
#undef __launch_bounds__
#include <algorithm>
#include <cmath>
using std::isinf;
using std::isnan;
using std::max;
using std::min;
#endif
#ifndef __CUDACC__
#define __CUDACC__
#endif
#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __constant__
#define __forceinline__ inline
#define __launch_bounds__(...)

#ifndef EMULATED_IN_JITTOR
struct uint3 { unsigned x, y, z; };
struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
#endif
static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;

namespace emulated {
static bool refused(const char* why, dim3 grid, dim3 block) {
    fprintf(stderr, "emulated CUDA refuses: %s (grid %u %u %u, block %u %u %u)\n", why, grid.x, grid.y, grid.z, block.x,
        block.y, block.z);
    if (getenv("EMULATED_GO_ON")) return true;
    exit(70);
}

static bool refuses(dim3 grid, dim3 block) {
    if (!grid.x || !grid.y || !grid.z) return refused("an empty grid", grid, block);
    if (!block.x || !block.y || !block.z) return refused("an empty block", grid, block);
    if ((size_t)block.x * block.y * block.z > 1024 || block.z > 64)
        return refused("too many threads in a block", grid, block);
    if (grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535) return refused("too many blocks", grid, block);
    return false;
}

static uint3 place(unsigned n, dim3 of) { return {n % of.x, n / of.x % of.y, n / of.x / of.y}; }

static bool reversed() {
    const char* order = getenv("EMULATED_ORDER");
    return order && !strcmp(order, "reversed");
}

#ifdef EMULATED_TOGETHER
struct Thread {
    ucontext_t context;
    std::vector<char> stack;
    int waits = 0;  // 0: runs, 1: for its block, 2: for its warp, 3: for nothing more
};
static std::vector<Thread>* threads;
static ucontext_t scheduler;
static unsigned running;
static const std::function<void()>* body;
static unsigned char passed[1024][16];  // what the threads show each other

static void begin() {
    (*body)();
    (*threads)[running].waits = 3;
    swapcontext(&(*threads)[running].context, &scheduler);
}
static void wait(int whom) {
    (*threads)[running].waits = whom;
    swapcontext(&(*threads)[running].context, &scheduler);
}
// lets those go on that have all come; those that have ended are not waited for, as on a GPU since Volta
static bool release(unsigned first, unsigned last, int whom) {
    bool any = false;
    for (unsigned t = first; t < last; t++) {
        int waits = (*threads)[t].waits;
        if (waits != whom && waits != 3) return false;
        any |= waits == whom;
    }
    for (unsigned t = first; t < last; t++)
        if ((*threads)[t].waits == whom) (*threads)[t].waits = 0;
    return any;
}
// after all have waited for each other, in what is undefined as soon as one thread of the block is not there
static void all_take_part() {
    for (unsigned t = 0; t < blockDim.x * blockDim.y * blockDim.z; t++)
        if ((*threads)[t].waits == 3) refused("threads that are missing where the whole block works", gridDim, blockDim);
}
static void run_block(unsigned count, bool backwards) {
    static std::vector<Thread> all;
    threads = &all;
    if (all.size() < count) all.resize(count);
    for (unsigned t = 0; t < count; t++) {
        Thread& thread = all[t];
        thread.stack.resize(1 << 16);
        thread.waits = 0;
        getcontext(&thread.context);
        thread.context.uc_stack.ss_sp = thread.stack.data();
        thread.context.uc_stack.ss_size = thread.stack.size();
        thread.context.uc_link = &scheduler;
        makecontext(&thread.context, begin, 0);
    }
    for (bool alive = true; alive;) {
        alive = false;
        for (unsigned n = 0; n < count; n++) {
            running = backwards ? count - 1 - n : n;
            if (all[running].waits) continue;
            alive = true;
            threadIdx = place(running, blockDim);
            swapcontext(&scheduler, &all[running].context);
        }
        for (unsigned first = 0; first < count; first += 32)
            alive |= release(first, first + 32 < count ? first + 32 : count, 2);
        alive |= release(0, count, 1);
    }
    for (unsigned t = 0; t < count; t++)
        if (all[t].waits != 3) refused("threads that wait for each other for ever", gridDim, blockDim);
}
template <class T> static T exchange(T value, unsigned lane) {
    memcpy(passed[running], &value, sizeof(T));
    unsigned me = running;
    wait(2);
    T found;
    memcpy(&found, passed[me / 32 * 32 + lane % 32], sizeof(T));
    wait(2);
    return found;
}
#endif

static void launch(dim3 grid, dim3 block, const std::function<void()>& kernel) {
    if (refuses(grid, block)) return;
    gridDim = grid, blockDim = block;
    bool backwards = reversed();
    unsigned blocks = grid.x * grid.y * grid.z, count = block.x * block.y * block.z;
#ifdef EMULATED_TOGETHER
    body = &kernel;
#endif
    for (unsigned b = 0; b < blocks; b++) {
        blockIdx = place(backwards ? blocks - 1 - b : b, grid);
#ifdef EMULATED_TOGETHER
        run_block(count, backwards);
#else
        for (unsigned t = 0; t < count; t++) threadIdx = place(backwards ? count - 1 - t : t, block), kernel();
#endif
    }
}
}  // namespace emulated

#ifdef EMULATED_TOGETHER
static inline void __syncthreads() { emulated::wait(1); }
static inline void __syncwarp(unsigned = ~0u) { emulated::wait(2); }
static unsigned lane_of_thread() { return emulated::running % 32; }
template <class T> T __shfl_sync(unsigned, T value, int lane) { return emulated::exchange(value, lane); }
template <class T> T __shfl_up_sync(unsigned, T value, unsigned by) {
    unsigned lane = lane_of_thread();
    return emulated::exchange(value, lane < by ? lane : lane - by);
}
template <class T> T __shfl_down_sync(unsigned, T value, unsigned by) {
    unsigned lane = lane_of_thread();
    return emulated::exchange(value, lane + by > 31 ? lane : lane + by);
}
template <class T> T __shfl_xor_sync(unsigned, T value, int mask) {
    return emulated::exchange(value, lane_of_thread() ^ mask);
}
#endif

template <class T, class V> T atomicAdd(T* at, V value) { T old = *at; *at = old + (T)value; return old; }
template <class T> T atomicMax(T* at, T value) { T old = *at; if (value > old) *at = value; return old; }
template <class T> T atomicMin(T* at, T value) { T old = *at; if (value < old) *at = value; return old; }
template <class T> T atomicExch(T* at, T value) { T old = *at; *at = value; return old; }
template <class T> T atomicCAS(T* at, T wanted, T value) { T old = *at; if (old == wanted) *at = value; return old; }
static inline unsigned atomicInc(unsigned* at, unsigned most) {
    unsigned old = *at;
    *at = old >= most ? 0 : old + 1;
    return old;
}

static inline int __float_as_int(float v) { int bits; memcpy(&bits, &v, 4); return bits; }
static inline float __int_as_float(int v) { float value; memcpy(&value, &v, 4); return value; }
static inline long long __double_as_longlong(double v) { long long bits; memcpy(&bits, &v, 8); return bits; }
static inline double __longlong_as_double(long long v) { double value; memcpy(&value, &v, 8); return value; }
