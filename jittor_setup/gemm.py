"""C++ for products and convolutions on the CPU: one blocked matrix product, and what it multiplies.

Jittor 1.3.11 has those of float64, and products of many matrices of any dtype, as loops over every factor, some
seventy times slower than what oneDNN computes. float64.py runs these instead. PRODUCTS_REAL: double or float.

A product is cut into blocks that one thread owns from the first addition to the last: each element is summed
over the depth in runs of DEPTH, in order, whatever the number of threads, so results repeat bit for bit.
Blocks are packed into panels (Goto and van de Geijn 2008); what is packed is either a matrix or, for
convolutions, what the kernel's window sees, without a matrix of windows ever being written.

B batch, C and O channels in and out, G groups; sizes: H and W the map's, P and Q the output's, R and S the kernel's.
"""

from __future__ import annotations

# a problem packs MR rows of its left and NR columns of its right factor, and stores what comes out
ENGINE = """
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>
#include <omp.h>

namespace products {
typedef PRODUCTS_REAL Real;
typedef long long Index;

#if defined(__AVX512F__)
const int BYTES = 64, MR = 8;
#elif defined(__AVX__)
const int BYTES = 32, MR = 4;
#else
const int BYTES = 16, MR = 4;
#endif
typedef Real Lane __attribute__((vector_size(BYTES), may_alias));
const int LANES = BYTES / sizeof(Real), WIDE = 3, NR = LANES * WIDE;  // with MR * WIDE sums every register is in use
const Index ROWS = 192, COLUMNS = 144, DEPTH = 128;  // a block of each factor and of the sums fit into the L2 cache

static inline Index up(Index n, Index unit) { return (n + unit - 1) / unit * unit; }
// sums [MR, NR], rows `stride` apart, += a [depth, MR] transposed times b [depth, NR]
static inline void tile(Index depth, const Real* a, const Real* b, Real* sums, Index stride) {
    Lane sum[MR][WIDE] = {};
    for (Index k = 0; k < depth; k++, a += MR, b += NR) {
        Lane row[WIDE];
        for (int j = 0; j < WIDE; j++) row[j] = *(const Lane*)(b + j * LANES);
        #pragma GCC unroll 8
        for (int i = 0; i < MR; i++)
            #pragma GCC unroll 3
            for (int j = 0; j < WIDE; j++) sum[i][j] += a[i] * row[j];
    }
    for (int i = 0; i < MR; i++)
        for (int j = 0; j < WIDE; j++) *(Lane*)(sums + i * stride + j * LANES) += sum[i][j];
}

struct Buffer {
    Real* p;
    explicit Buffer(Index n) : p((Real*)aligned_alloc(64, up(n * sizeof(Real) + 8, 64))) {}
    ~Buffer() { free(p); }
};

// block sizes: at least two blocks for each thread, where there is that much work to share
static inline void blocks(Index batches, Index rows, Index columns, Index* high, Index* wide) {
    *high = std::min(ROWS, up(rows, MR));
    *wide = std::min(COLUMNS / NR * NR, up(columns, NR));
    Index wanted = 2 * omp_get_max_threads();
    while (batches * ((rows + *high - 1) / *high) * ((columns + *wide - 1) / *wide) < wanted) {
        if (*wide > NR && *wide >= *high) *wide = up(*wide / 2, NR);
        else if (*high > MR) *high = up(*high / 2, MR);
        else break;
    }
}

// `batches` products of [rows, depth] and [depth, columns]
template <class Problem> void multiply(const Problem& problem, Index batches, Index rows, Index columns, Index depth) {
    if (!batches || !rows || !columns) return;
    Index high, wide;
    blocks(batches, rows, columns, &high, &wide);
    Index down = (rows + high - 1) / high, across = (columns + wide - 1) / wide, run = std::min(depth, DEPTH);
    #pragma omp parallel
    {
        Buffer left(high * run), right(wide * run), sums(high * wide);
        #pragma omp for schedule(dynamic)
        for (Index block = 0; block < batches * down * across; block++) {
            Index batch = block / down / across;
            Index row = block % down * high, column = block / down % across * wide;
            Index height = std::min(high, rows - row), width = std::min(wide, columns - column);
            std::fill(sums.p, sums.p + up(height, MR) * wide, 0.0);
            for (Index k = 0; k < depth; k += DEPTH) {
                Index n = std::min(DEPTH, depth - k);
                for (Index i = 0; i < height; i += MR)
                    problem.left(batch, row + i, std::min<Index>(MR, height - i), k, n, left.p + i * n);
                for (Index j = 0; j < width; j += NR)
                    problem.right(batch, column + j, std::min<Index>(NR, width - j), k, n, right.p + j * n);
                for (Index j = 0; j < width; j += NR)
                    for (Index i = 0; i < height; i += MR)
                        tile(n, left.p + i * n, right.p + j * n, sums.p + i * wide + j, wide);
            }
            problem.store(batch, row, height, column, width, sums.p, wide);
        }
    }
}
"""

# matrices anywhere in memory, transposed or not
MATRICES = """
struct Matrix { Index batch, row, column; };  // how far apart neighbours lie

// `lines` lines, `step` apart, of `count` elements, `apart` apart -> out [count, UNIT], the rest of UNIT zeros
template <int UNIT>
static inline void pack(const Real* p, Index lines, Index step, Index count, Index apart, Real* out) {
    if (lines < UNIT) std::fill(out, out + count * UNIT, 0.0);
    if (step == 1 && lines == UNIT)
        for (Index k = 0; k < count; k++) memcpy(out + k * UNIT, p + k * apart, UNIT * sizeof(Real));
    else
        for (Index i = 0; i < lines; i++)
            for (Index k = 0; k < count; k++) out[k * UNIT + i] = p[i * step + k * apart];
}

struct Matrices {
    const Real *a, *b;
    Real* c;
    Matrix at_a, at_b, at_c;

    void left(Index batch, Index row, Index rows, Index k, Index depth, Real* out) const {
        pack<MR>(a + batch * at_a.batch + row * at_a.row + k * at_a.column, rows, at_a.row, depth, at_a.column, out);
    }
    void right(Index batch, Index column, Index columns, Index k, Index depth, Real* out) const {
        const Real* from = b + batch * at_b.batch + k * at_b.row + column * at_b.column;
        pack<NR>(from, columns, at_b.column, depth, at_b.row, out);
    }
    void store(Index batch, Index row, Index rows, Index column, Index columns, const Real* sums,
            Index stride) const {
        Real* to = c + batch * at_c.batch + row * at_c.row + column * at_c.column;
        for (Index i = 0; i < rows; i++, to += at_c.row)
            for (Index j = 0; j < columns; j++) to[j * at_c.column] = sums[i * stride + j];
    }
};
"""

# y[b, o, p, q] = sum over c, r, s of w[o, c, r, s] x[b, c, p * stride - padding + r * dilation, ...], by groups
CONVOLUTION = """
struct Shape {
    Index batch, channels, height, width, outputs, groups, size[2], out[2], stride[2], padding[2], dilation[2];
    Index inner() const { return channels / groups; }
    Index outer() const { return outputs / groups; }
    Index pixels() const { return height * width; }
    Index outs() const { return out[0] * out[1]; }
    Index taps() const { return size[0] * size[1]; }
};

// on one axis, position q of the output sees position q * step + shift[t] of the input through tap[t] of the
// kernel, and lies at first + q * spread
struct Axis {
    Index count, step, length, first, spread;
    std::vector<Index> shift, tap;
};

static inline Axis forward_axis(const Shape& s, int a) {
    Axis axis = {s.out[a], s.stride[a], a ? s.width : s.height, 0, 1, {}, {}};
    for (Index t = 0; t < s.size[a]; t++) {
        axis.shift.push_back(t * s.dilation[a] - s.padding[a]);
        axis.tap.push_back(t);
    }
    return axis;
}

// the gradient of x at the positions phase, phase + stride, ...: of these each sees the same taps
static inline Axis backward_axis(const Shape& s, int a, Index phase) {
    Index n = a ? s.width : s.height, stride = s.stride[a];
    Axis axis = {phase < n ? (n - phase + stride - 1) / stride : 0, 1, s.out[a], phase, stride, {}, {}};
    for (Index t = 0; t < s.size[a]; t++) {
        Index distance = phase + s.padding[a] - t * s.dilation[a];
        if (distance % stride) continue;
        axis.shift.push_back(distance / stride);
        axis.tap.push_back(t);
    }
    return axis;
}

// weights [outer or inner, depth] times what the window sees: y, or one phase of the gradient of x
struct Windows {
    const Real *x, *w;  // x: what the window slides over
    Real* y;
    Axis v, h;
    Index channels, outputs, groups, width, wide, kernel;  // kernel: its width; wide: that of y
    Index pixels, outs, row, channel, group;  // the last three: how far apart weights lie
    Index depth() const { return channels / groups * v.tap.size() * h.tap.size(); }

    void left(Index g, Index first, Index rows, Index k, Index depth, Real* out) const {
        Index across = h.tap.size(), down = v.tap.size();
        if (rows < MR) std::fill(out, out + depth * MR, 0.0);
        for (Index d = 0; d < depth; d++, k++) {
            const Real* from = w + g * group + first * row + k / across / down * channel
                + v.tap[k / across % down] * kernel + h.tap[k % across];
            for (Index i = 0; i < rows; i++) out[d * MR + i] = from[i * row];
        }
    }
    void right(Index g, Index first, Index columns, Index k, Index depth, Real* out) const {
        Index at[NR] = {}, across = h.tap.size(), down = v.tap.size();
        std::vector<unsigned> inside(across + down, 0u);  // bit j: whether column j is inside of the map at a tap
        for (Index j = 0; j < columns; j++) {
            Index q = (first + j) % h.count, p = (first + j) / h.count % v.count, b = (first + j) / h.count / v.count;
            at[j] = (b * channels + g * (channels / groups)) * pixels + p * v.step * width + q * h.step;
            for (Index t = 0; t < down; t++)
                if ((size_t)(p * v.step + v.shift[t]) < (size_t)v.length) inside[across + t] |= 1u << j;
            for (Index t = 0; t < across; t++)
                if ((size_t)(q * h.step + h.shift[t]) < (size_t)h.length) inside[t] |= 1u << j;
        }
        bool dense = true;
        for (Index j = 1; j < NR; j++) dense &= at[j] == at[0] + j;
        Index s = k % across, r = k / across % down, c = k / across / down;
        for (Index d = 0; d < depth; d++, out += NR) {
            unsigned mask = inside[s] & inside[across + r];
            Index from = c * pixels + v.shift[r] * width + h.shift[s];
            if (dense && mask == (1u << NR) - 1) memcpy(out, x + from + at[0], NR * sizeof(Real));
            else for (int j = 0; j < NR; j++) out[j] = mask >> j & 1 ? x[from + at[j]] : 0.0;
            if (++s == across) { s = 0; if (++r == down) { r = 0; c++; } }
        }
    }
    void store(Index g, Index first, Index rows, Index column, Index columns, const Real* sums, Index stride) const {
        Index at[COLUMNS];
        for (Index j = 0; j < columns; j++) {
            Index n = column + j, q = n % h.count, p = n / h.count % v.count, b = n / h.count / v.count;
            at[j] = (b * outputs + g * (outputs / groups) + first) * outs
                + (v.first + p * v.spread) * wide + h.first + q * h.spread;
        }
        for (Index i = 0; i < rows; i++)
            for (Index j = 0; j < columns; j++) y[at[j] + i * outs] = sums[i * stride + j];
    }
};

static inline void forward(const Shape& s, const Real* x, const Real* w, Real* y) {
    Index inner = s.inner() * s.taps();
    Windows problem = {x, w, y, forward_axis(s, 0), forward_axis(s, 1), s.channels, s.outputs, s.groups, s.width,
        s.out[1], s.size[1], s.pixels(), s.outs(), inner, s.taps(), s.outer() * inner};
    multiply(problem, s.groups, s.outer(), s.batch * s.outs(), problem.depth());
}

static inline void to_input(const Shape& s, const Real* dy, const Real* w, Real* dx) {
    Index inner = s.inner() * s.taps();
    for (Index p = 0; p < s.stride[0]; p++)
        for (Index q = 0; q < s.stride[1]; q++) {
            Windows problem = {dy, w, dx, backward_axis(s, 0, p), backward_axis(s, 1, q), s.outputs, s.channels,
                s.groups, s.out[1], s.width, s.size[1], s.outs(), s.pixels(), s.taps(), inner, s.outer() * inner};
            Index columns = s.batch * problem.v.count * problem.h.count;
            multiply(problem, s.groups, s.inner(), columns, problem.depth());
        }
}
"""

# dw[o, (c, r, s)] = dy [o, (b, p, q)] times what the window sees at (b, p, q)
WEIGHTS = """
struct Correlation {
    const Real *x, *dy;
    Real* dw;
    Shape s;

    void left(Index g, Index first, Index rows, Index k, Index depth, Real* out) const {
        for (Index d = 0, n; d < depth; d += n) {
            Index b = (k + d) / s.outs(), p = (k + d) % s.outs();
            n = std::min(depth - d, s.outs() - p);
            pack<MR>(dy + (b * s.outputs + g * s.outer() + first) * s.outs() + p, rows, s.outs(), n, 1, out + d * MR);
        }
    }
    void right(Index g, Index first, Index columns, Index k, Index depth, Real* out) const {
        Index at[NR];
        int down[NR], across[NR], height = s.height, width = s.width, lowest = 0, rightmost = 0;
        for (Index j = 0; j < NR; j++) {
            Index n = std::min(first + j, first + columns - 1);  // columns that are none repeat the last
            down[j] = n / s.size[1] % s.size[0] * s.dilation[0];
            across[j] = n % s.size[1] * s.dilation[1];
            at[j] = n / s.taps() * s.pixels() + down[j] * s.width + across[j];
            lowest = std::max(lowest, down[j]), rightmost = std::max(rightmost, across[j]);
        }
        Index q = k % s.out[1], p = k / s.out[1] % s.out[0], b = k / s.outs();
        for (Index d = 0; d < depth; d++, out += NR) {
            int y = p * s.stride[0] - s.padding[0], z = q * s.stride[1] - s.padding[1];
            Index from = (b * s.channels + g * s.inner()) * s.pixels() + y * s.width + z;
            if (y >= 0 && z >= 0 && y + lowest < height && z + rightmost < width)
                for (int j = 0; j < NR; j++) out[j] = x[from + at[j]];
            else
                for (int j = 0; j < NR; j++) {
                    bool high = (unsigned)(y + down[j]) < (unsigned)height;
                    out[j] = high && (unsigned)(z + across[j]) < (unsigned)width ? x[from + at[j]] : 0.0;
                }
            if (++q == s.out[1]) { q = 0; if (++p == s.out[0]) { p = 0; b++; } }
        }
    }
    void store(Index g, Index first, Index rows, Index column, Index columns, const Real* sums, Index stride) const {
        Real* to = dw + (g * s.outer() + first) * s.inner() * s.taps() + column;
        for (Index i = 0; i < rows; i++)
            memcpy(to + i * s.inner() * s.taps(), sums + i * stride, columns * sizeof(Real));
    }
};

static inline void to_weights(const Shape& s, const Real* x, const Real* dy, Real* dw) {
    multiply(Correlation{x, dy, dw, s}, s.groups, s.outer(), s.inner() * s.taps(), s.batch * s.outs());
}
"""
END = "}  // namespace products\n"
