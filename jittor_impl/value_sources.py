"""C++ of the kernels that look at single values: NaN, infinities, sorting. INCLUDES of kernel_sources.py come first."""

# NaN and infinities are told by their bits: -Ofast assumes that there are none
SPECIAL = """
ITEM unsigned magnitude(float v) {
    unsigned bits;
    memcpy(&bits, &v, 4);
    return bits & 0x7fffffffu;
}
ITEM unsigned long long magnitude(double v) {
    unsigned long long bits;
    memcpy(&bits, &v, 8);
    return bits & 0x7fffffffffffffffull;
}
ITEM bool is_nan(float v) { return magnitude(v) > 0x7f800000u; }
ITEM bool is_nan(double v) { return magnitude(v) > 0x7ff0000000000000ull; }
ITEM bool is_finite(float v) { return magnitude(v) < 0x7f800000u; }
ITEM bool is_finite(double v) { return magnitude(v) < 0x7ff0000000000000ull; }

template <class T> ITEM void finite(Index item, const T* x, bool* y) { y[item] = is_finite(x[item]); }

template <class T> ITEM void replace(Index item, const T* x, T* y, T value) {
    y[item] = is_nan(x[item]) ? value : x[item];
}

// the gradient of `replace`
template <class T> ITEM void passed(Index item, const T* dy, const T* x, T* dx) {
    dx[item] = is_nan(x[item]) ? (T)0 : dy[item];
}

ITEM bool is_negative(float v) { unsigned bits; memcpy(&bits, &v, 4); return bits >> 31; }
ITEM bool is_negative(double v) { unsigned long long bits; memcpy(&bits, &v, 8); return bits >> 63; }

// an integer of the same width that lies among others as the value among values: NaN lowest, -0 equal to 0
template <class T, class K> ITEM void sort_key(Index item, const T* x, K* key) {
    K size = (K)magnitude(x[item]), lowest = ~(K)(~0ull >> (65 - 8 * sizeof(K)));
    key[item] = is_nan(x[item]) ? lowest : is_negative(x[item]) ? -size : size;
}

// one item is one row of n values: their mean and how many they are, without NaN
template <class T> ITEM void mean(Index item, const T* x, T* y, T* count, Index n) {
    T sum = 0, found = 0;
    for (const T* v = x + item * n; v < x + (item + 1) * n; v++)
        if (!is_nan(*v)) sum += *v, found += 1;
    count[item] = found;
    y[item] = sum / found;
}

// the gradient of `mean`, one item for each value
template <class T> ITEM void shared(Index item, const T* dy, const T* x, const T* count, T* dx, Index n) {
    dx[item] = is_nan(x[item]) ? (T)0 : dy[item / n] / count[item / n];
}
"""
SORT_CPU = """
    Index n = in0_shape1;
    for (Index row = 0; row < in0_shape0; row++) {
        const in0_type* values = in0_p + row * n;
        out0_type* order = out0_p + row * n;
        for (Index i = 0; i < n; i++) order[i] = i;
        out0_type* end = std::stable_partition(
            order, order + n, [values](int i) { return !regions::is_nan(values[i]); });
        std::stable_sort(order, end, [values](int a, int b) { return values[a] > values[b]; });
    }
"""
