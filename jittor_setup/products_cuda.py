"""CUDA for products and convolutions of float64, one thread for each number that comes out.

Jittor 1.3.11 has none on CUDA: what it hands to cuBLAS asks for sums of float32, which cuBLAS refuses for float64, and
its cuDNN operators cannot be loaded for float64 (docs/gpu.md). These are plain sums, without atomics, in runs of RUN
products, so results repeat bit for bit; for proving, not for speed.

The names and the layout of `Matrix` and `Shape` are those of gemm.py, whose callers fill them.
"""

from __future__ import annotations

HEADER = """
namespace products {
typedef long long Index;
const Index RUN = 128;
struct Matrix { Index batch, row, column; };  // how far apart neighbours lie
struct Shape {
    Index batch, channels, height, width, outputs, groups, size[2], out[2], stride[2], padding[2], dilation[2];
};

struct Sum {  // of long rows, in runs
    double run = 0, total = 0;
    Index count = 0;
    __device__ void add(double a, double b) {
        run += a * b;
        if (++count % RUN == 0) total += run, run = 0;
    }
    __device__ double value() const { return total + run; }
};

template <class Problem> __global__ void fill(Problem problem, Index items) {
    Index step = (Index)blockDim.x * gridDim.x;
    for (Index item = (Index)blockIdx.x * blockDim.x + threadIdx.x; item < items; item += step) problem.compute(item);
}
template <class Problem> void solve(const Problem& problem, Index items) {
    Index blocks = (items + 255) / 256;
    if (items) fill<<<blocks < 65535 ? (int)blocks : 65535, 256>>>(problem, items);
}
"""

MATRICES = """
struct Matrices {
    const double *a, *b;
    double* c;
    Matrix at_a, at_b, at_c;
    Index rows, columns, depth;
    __device__ void compute(Index item) const {
        Index column = item % columns, row = item / columns % rows, batch = item / columns / rows;
        const double* p = a + batch * at_a.batch + row * at_a.row;
        const double* q = b + batch * at_b.batch + column * at_b.column;
        Sum sum;
        for (Index k = 0; k < depth; k++) sum.add(p[k * at_a.column], q[k * at_b.row]);
        c[batch * at_c.batch + row * at_c.row + column * at_c.column] = sum.value();
    }
};
"""

# y[b, o, p, q] = sum over c, r, s of w[o, c, r, s] x[b, c, p * stride - padding + r * dilation, ...], by groups
CONVOLUTION = """
struct Convolution : Shape {
    const double *x, *w, *y;  // one of them is written
    Convolution(const Shape& s, const double* x, const double* w, const double* y) : Shape(s), x(x), w(w), y(y) {}
    __device__ Index inner() const { return channels / groups; }
    __device__ Index outer() const { return outputs / groups; }
    // the input's position under tap t of the window at q, -1 outside
    __device__ Index under(int axis, Index q, Index t) const {
        Index at = q * stride[axis] - padding[axis] + t * dilation[axis];
        return at >= 0 && at < (axis ? width : height) ? at : -1;
    }
    // the window that sees position `at` with tap t, -1 when there is none
    __device__ Index above(int axis, Index at, Index t) const {
        Index distance = at + padding[axis] - t * dilation[axis];
        return distance >= 0 && distance % stride[axis] == 0 && distance / stride[axis] < out[axis]
            ? distance / stride[axis] : -1;
    }
    __device__ double input(Index b, Index c, Index i, Index j) const {
        return x[((b * channels + c) * height + i) * width + j];
    }
    __device__ double weight(Index o, Index c, Index r, Index s) const {
        return w[((o * inner() + c) * size[0] + r) * size[1] + s];
    }
    __device__ double output(Index b, Index o, Index p, Index q) const {
        return y[((b * outputs + o) * out[0] + p) * out[1] + q];
    }
};

struct Forward : Convolution {
    using Convolution::Convolution;
    __device__ void compute(Index item) const {
        Index q = item % out[1], p = item / out[1] % out[0], o = item / out[1] / out[0] % outputs;
        Index b = item / out[1] / out[0] / outputs, first = o / outer() * inner(), i, j;
        Sum sum;
        for (Index c = 0; c < inner(); c++)
            for (Index r = 0; r < size[0]; r++) {
                if ((i = under(0, p, r)) < 0) continue;
                for (Index s = 0; s < size[1]; s++)
                    if ((j = under(1, q, s)) >= 0) sum.add(weight(o, c, r, s), input(b, first + c, i, j));
            }
        ((double*)y)[item] = sum.value();
    }
};

struct ToInput : Convolution {
    using Convolution::Convolution;
    __device__ void compute(Index item) const {
        Index j = item % width, i = item / width % height, c = item / width / height % channels;
        Index b = item / width / height / channels, first = c / inner() * outer(), p, q;
        Sum sum;
        for (Index o = first; o < first + outer(); o++)
            for (Index r = 0; r < size[0]; r++) {
                if ((p = above(0, i, r)) < 0) continue;
                for (Index s = 0; s < size[1]; s++)
                    if ((q = above(1, j, s)) >= 0) sum.add(weight(o, c % inner(), r, s), output(b, o, p, q));
            }
        ((double*)x)[item] = sum.value();
    }
};

struct ToWeights : Convolution {
    using Convolution::Convolution;
    __device__ void compute(Index item) const {
        Index s = item % size[1], r = item / size[1] % size[0], c = item / size[1] / size[0] % inner();
        Index o = item / size[1] / size[0] / inner(), first = o / outer() * inner(), i, j;
        Sum sum;
        for (Index b = 0; b < batch; b++)
            for (Index p = 0; p < out[0]; p++) {
                if ((i = under(0, p, r)) < 0) continue;
                for (Index q = 0; q < out[1]; q++)
                    if ((j = under(1, q, s)) >= 0) sum.add(output(b, o, p, q), input(b, first + c, i, j));
            }
        ((double*)w)[item] = sum.value();
    }
};

static inline void forward(const Shape& s, const double* x, const double* w, double* y) {
    solve(Forward(s, x, w, y), s.batch * s.outputs * s.out[0] * s.out[1]);
}
static inline void to_input(const Shape& s, const double* dy, const double* w, double* dx) {
    solve(ToInput(s, dx, w, dy), s.batch * s.channels * s.height * s.width);
}
static inline void to_weights(const Shape& s, const double* x, const double* dy, double* dw) {
    solve(ToWeights(s, x, dw, dy), s.outputs * (s.channels / s.groups) * s.size[0] * s.size[1]);
}
"""
MULTIPLY = """
    auto n = [&](const char* name) { return (products::Index)data[name]; };
    products::Matrices factors = {in0_p, in1_p, out0_p, {n("a_batch"), n("a_row"), n("a_column")},
        {n("b_batch"), n("b_row"), n("b_column")}, {n("c_batch"), n("c_row"), n("c_column")},
        n("rows"), n("columns"), n("depth")};
    products::solve(factors, n("batches") * n("rows") * n("columns"));
"""
END = "}  // namespace products\n"
PRODUCT, CONVOLVE = HEADER + MATRICES + END, HEADER + CONVOLUTION + END
