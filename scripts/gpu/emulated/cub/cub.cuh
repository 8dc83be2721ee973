// What Jittor takes from CUB, by its documentation, for a CPU: sorts are stable, NaN has the order of its bits, both zeros
// are equal; the greatest of a row without any is (1, lowest); a scan over a block needs every thread of it.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <type_traits>
#include <vector>

namespace thrust {
template <class It> std::reverse_iterator<It> make_reverse_iterator(It it) { return std::reverse_iterator<It>(it); }
}  // namespace thrust

namespace cub {
template <class K, class V> struct KeyValuePair { K key; V value; };

template <class T, class Offset = ptrdiff_t> struct CountingInputIterator {
    T first;
    CountingInputIterator(T first) : first(first) {}
    T operator[](size_t i) const { return first + (T)i; }
};
template <class T, class F, class It, class Offset = ptrdiff_t> struct TransformInputIterator {
    It it;
    F f;
    TransformInputIterator(It it, F f) : it(it), f(f) {}
    T operator[](size_t i) const { return f(it[i]); }
};

// an unsigned integer in the order of radix sort
template <class T> uint64_t radix(T value) {
    if (std::is_floating_point<T>::value && value == T(0)) value = T(0);
    uint64_t bits = 0, top = 1ull << (8 * sizeof(T) - 1);
    memcpy(&bits, &value, sizeof(T));
    if (std::is_floating_point<T>::value) return bits & top ? ~bits & (top | (top - 1)) : bits | top;
    return std::is_signed<T>::value ? bits ^ top : bits;
}

struct DeviceSegmentedRadixSort {
    template <bool down, class K, class V, class O>
    static int sort(void* room, size_t& bytes, const K* in, K* out, const V* from, V* to, int items, int segments, const O* begins,
            const O* ends) {
        if (!room) return bytes = 1, 0;
        for (int s = 0; s < segments; s++) {
            std::vector<int> order;
            for (O i = begins[s]; i < ends[s]; i++) order.push_back(i);
            std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
                return down ? radix(in[a]) > radix(in[b]) : radix(in[a]) < radix(in[b]);
            });
            for (O i = begins[s]; i < ends[s]; i++) out[i] = in[order[i - begins[s]]], to[i] = from[order[i - begins[s]]];
        }
        return 0;
    }
    template <class... A> static int SortPairs(A&&... a) { return sort<false>(a...); }
    template <class... A> static int SortPairsDescending(A&&... a) { return sort<true>(a...); }
};

struct DeviceSegmentedReduce {
    template <class T, class Before, class O>
    static int first(void* room, size_t& bytes, const T* in, KeyValuePair<int, T>* out, int segments, const O* begins,
            const O* ends, T least, Before before) {
        if (!room) return bytes = 1, 0;
        for (int s = 0; s < segments; s++) {
            KeyValuePair<int, T> best = {1, least};
            for (int i = 0; i < ends[s] - begins[s]; i++) {
                T v = in[begins[s] + i];
                if (before(v, best.value) || (v == best.value && i < best.key)) best = {i, v};
            }
            out[s] = best;
        }
        return 0;
    }
    template <class T, class O>
    static int ArgMax(void* room, size_t& n, const T* in, KeyValuePair<int, T>* out, int segments, const O* begins, const O* ends) {
        return first(room, n, in, out, segments, begins, ends, std::numeric_limits<T>::lowest(), [](T a, T b) { return a > b; });
    }
    template <class T, class O>
    static int ArgMin(void* room, size_t& n, const T* in, KeyValuePair<int, T>* out, int segments, const O* begins, const O* ends) {
        return first(room, n, in, out, segments, begins, ends, std::numeric_limits<T>::max(), [](T a, T b) { return a < b; });
    }
};

struct DeviceScan {
    template <class In, class Out> static int InclusiveSum(void* room, size_t& bytes, In in, Out out, int n) {
        if (!room) return bytes = 1, 0;
        typename std::iterator_traits<In>::value_type sum = 0;
        for (int i = 0; i < n; i++) out[i] = sum += in[i];
        return 0;
    }
};

struct DeviceSelect {
    template <class In, class Flags, class Out, class Count>
    static cudaError_t Flagged(void* room, size_t& bytes, In in, Flags flags, Out out, Count count, int n) {
        if (!room) return bytes = 1, cudaSuccess;
        int found = 0;
        for (int i = 0; i < n; i++)
            if (flags[i]) out[found++] = in[i];
        *count = found;
        return cudaSuccess;
    }
};

#ifdef EMULATED_TOGETHER
template <class T, int THREADS> struct BlockScan {
    struct TempStorage { T sums[THREADS]; };
    TempStorage& room;
    BlockScan(TempStorage& room) : room(room) {}
    template <int N> void InclusiveSum(T (&in)[N], T (&out)[N]) {
        T sum = 0, before = 0;
        for (int i = 0; i < N; i++) sum += in[i];
        room.sums[threadIdx.x] = sum;
        __syncthreads();
        emulated::all_take_part();
        for (unsigned t = 0; t < threadIdx.x; t++) before += room.sums[t];
        for (int i = 0; i < N; i++) out[i] = before += in[i];
    }
};
#endif
}  // namespace cub
