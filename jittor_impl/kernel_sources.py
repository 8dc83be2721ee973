"""C++ of the kernels in kernel_table.py: functions of one work item each, for the CPU and CUDA alike.

The arithmetic is that of torchvision's operators (roi_align, roi_pool, nms) and of tf.image.crop_and_resize.
"""

INCLUDES = """
#ifdef __CUDACC__
#define ITEM __device__ static inline
#else
#include <algorithm>
#include <vector>
#define ITEM static inline
#endif
#include <cmath>
#include <cstring>
"""
COMMON = """
typedef long long Index;

template <class T> ITEM T lesser(T a, T b) { return a < b ? a : b; }
template <class T> ITEM T greater(T a, T b) { return a > b ? a : b; }
// rounded as IEEE 754 asks, also with --use_fast_math: for what is compared, or made a whole number
template <class T, class N> ITEM T quotient(T a, N b) { return (T)((double)a / (double)b); }

// how many rows of a map's gradient a backward item owns: a core takes whole maps and goes through the regions once
// for each, a GPU wants many items; so too for regions, of `values` numbers each
#ifdef __CUDACC__
__host__ __device__ static inline Index band_of(Index height) { return 1; }
static inline Index items_of(Index regions, Index values) { return regions * values; }
#else
ITEM Index band_of(Index height) { return greater<Index>(height, 1); }
ITEM Index items_of(Index regions, Index values) { return regions; }
#endif
"""

# one bilinear sample per grid point; RoIAlign averages several of them in each bin
BILINEAR = """
template <class T> struct Region {
    T low[2], bin[2], count;  // axis 0 is y, axis 1 is x
    int grid[2];
    bool crop;
};

// where bilinear samples of region r lie: RoIAlign's bins, or crop_and_resize's corner-to-corner grid
template <class T> ITEM Region<T> region(const T* boxes, Index r, int size, T scale, int ratio,
        bool aligned, bool crop) {
    Region<T> g;
    g.crop = crop;
    T half = aligned && !crop ? (T)0.5 : (T)0;
    for (int a = 0; a < 2; a++) {
        g.low[a] = boxes[r * 4 + 1 - a] * scale - half;
        T extent = boxes[r * 4 + 3 - a] * scale - half - g.low[a];
        if (crop) {
            g.bin[a] = extent;
            g.grid[a] = 1;
            continue;
        }
        if (!aligned) extent = greater(extent, (T)1);
        g.bin[a] = quotient(extent, size);
        g.grid[a] = ratio > 0 ? ratio : (int)ceil(g.bin[a]);
    }
    g.count = (T)greater(g.grid[0] * g.grid[1], 1);
    return g;
}

template <class T> ITEM T position(const Region<T>& g, int axis, int bin, int sample, int size) {
    if (g.crop) return g.low[axis] + (T)bin / (T)greater(size - 1, 1) * g.bin[axis];
    return g.low[axis] + (T)bin * g.bin[axis] + ((T)sample + (T)0.5) * g.bin[axis] / (T)g.grid[axis];
}

template <class T> struct Pair {
    int low, high;
    T at_low, at_high;
};

// the two neighbours of a position on an axis of n points; false when it is outside
template <class T> ITEM bool neighbours(T p, int n, bool crop, Pair<T>* pair) {
    T margin = crop ? (T)0 : (T)1;
    if (p < -margin || p > (T)(n - 1) + margin) return false;
    p = greater(p, (T)0);
    pair->low = (int)p;
    if (pair->low >= n - 1) {
        pair->low = pair->high = n - 1;
        pair->at_low = (T)1;
        pair->at_high = (T)0;
        return true;
    }
    pair->high = pair->low + 1;
    pair->at_high = p - (T)pair->low;
    pair->at_low = (T)1 - pair->at_high;
    return true;
}

#ifdef __CUDACC__
template <class T, class I> ITEM void forward(Index item, const T* x, const T* boxes, const I* images, T* y,
        int channels, int height, int width, int size, T scale, int ratio, bool aligned, bool crop) {
    int column = item % size, row = item / size % size;
    Index c = item / size / size % channels, r = item / size / size / channels;
    Region<T> g = region(boxes, r, size, scale, ratio, aligned, crop);
    const T* map = x + ((Index)images[r] * channels + c) * height * width;
    T sum = 0;
    Pair<T> v, h;
    for (int i = 0; i < g.grid[0]; i++) {
        if (!neighbours(position(g, 0, row, i, size), height, crop, &v)) continue;
        for (int j = 0; j < g.grid[1]; j++) {
            if (!neighbours(position(g, 1, column, j, size), width, crop, &h)) continue;
            const T *top = map + v.low * width, *bottom = map + v.high * width;
            sum += v.at_low * h.at_low * top[h.low] + v.at_low * h.at_high * top[h.high]
                + v.at_high * h.at_low * bottom[h.low] + v.at_high * h.at_high * bottom[h.high];
        }
    }
    y[item] = sum / g.count;
}
#else
// one item is a region: where its samples lie is found once for all channels
template <class T, class I> ITEM void forward(Index r, const T* x, const T* boxes, const I* images, T* y,
        int channels, int height, int width, int size, T scale, int ratio, bool aligned, bool crop) {
    struct Sample { int at[4]; T share[4]; };
    std::vector<Sample> samples;
    std::vector<size_t> ends;  // of each bin's samples
    Region<T> g = region(boxes, r, size, scale, ratio, aligned, crop);
    Pair<T> v, h;
    for (int row = 0; row < size; row++)
        for (int column = 0; column < size; column++, ends.push_back(samples.size()))
            for (int i = 0; i < g.grid[0]; i++) {
                if (!neighbours(position(g, 0, row, i, size), height, crop, &v)) continue;
                for (int j = 0; j < g.grid[1]; j++) {
                    if (!neighbours(position(g, 1, column, j, size), width, crop, &h)) continue;
                    int top = v.low * width, bottom = v.high * width;
                    samples.push_back({{top + h.low, top + h.high, bottom + h.low, bottom + h.high},
                        {v.at_low * h.at_low, v.at_low * h.at_high, v.at_high * h.at_low, v.at_high * h.at_high}});
                }
            }
    for (Index c = 0; c < channels; c++) {
        const T* map = x + ((Index)images[r] * channels + c) * height * width;
        T* out = y + (r * channels + c) * size * size;
        const Sample* s = samples.data();
        for (size_t bin = 0; bin < ends.size(); bin++) {
            T sum = 0;
            for (const Sample* end = samples.data() + ends[bin]; s < end; s++)
                sum += s->share[0] * map[s->at[0]] + s->share[1] * map[s->at[1]]
                    + s->share[2] * map[s->at[2]] + s->share[3] * map[s->at[3]];
            out[bin] = sum / g.count;
        }
    }
}
#endif

// one item is a band of rows of the gradient of x: [B, C, bands of H]; what a row gets, and in which order, does not
// depend on how wide bands are
template <class T, class I> ITEM void backward(Index item, const T* dy, const T* boxes, const I* images,
        T* dx, int regions, int channels, int height, int width, int size, T scale, int ratio,
        bool aligned, bool crop) {
    int band = band_of(height), bands = (height + band - 1) / band;
    int first = item % bands * band, last = lesser(first + band, height) - 1;
    Index c = item / bands % channels, b = item / bands / channels;
    T* map = dx + (b * channels + c) * height * width;
    for (Index k = (Index)first * width; k < (Index)(last + 1) * width; k++) map[k] = 0;
    Pair<T> v, h;
    for (int r = 0; r < regions; r++) {
        if (images[r] != b) continue;
        Region<T> g = region(boxes, (Index)r, size, scale, ratio, aligned, crop);
        const T* found = dy + ((Index)r * channels + c) * size * size;
        for (int bin = 0; bin < size; bin++)
            for (int i = 0; i < g.grid[0]; i++) {
                if (!neighbours(position(g, 0, bin, i, size), height, crop, &v)) continue;
                for (int row = greater(v.low, first); row <= lesser(v.high, last); row++) {
                    T share = (v.low == row ? v.at_low : (T)0) + (v.high == row ? v.at_high : (T)0);
                    if (share == (T)0) continue;
                    T* line = map + (Index)row * width;
                    for (int column = 0; column < size; column++) {
                        T part = found[bin * size + column] * share / g.count;
                        for (int j = 0; j < g.grid[1]; j++) {
                            if (!neighbours(position(g, 1, column, j, size), width, crop, &h)) continue;
                            line[h.low] += part * h.at_low;
                            line[h.high] += part * h.at_high;
                        }
                    }
                }
            }
    }
}
"""

ROI_POOL = """
// first and one-past-last cell of a bin on an axis
template <class T> ITEM void window(const T* box, int axis, int bin, int size, T scale, int n, int* first, int* last) {
    int low = (int)round(box[axis] * scale), high = (int)round(box[axis + 2] * scale);
    T extent = quotient((T)greater(high - low + 1, 1), size);
    *first = lesser(greater((int)floor((T)bin * extent) + low, 0), n);
    *last = lesser(greater((int)ceil((T)(bin + 1) * extent) + low, 0), n);
}

template <class T, class I> ITEM void forward(Index item, const T* x, const T* boxes, const I* images, T* y, int* where,
        int channels, int height, int width, int size, T scale) {
    int column = item % size, row = item / size % size;
    Index c = item / size / size % channels, r = item / size / size / channels;
    const T* map = x + ((Index)images[r] * channels + c) * height * width;
    int top, bottom, left, right, best = -1;
    window(boxes + r * 4, 1, row, size, scale, height, &top, &bottom);
    window(boxes + r * 4, 0, column, size, scale, width, &left, &right);
    for (int i = top; i < bottom; i++)
        for (int j = left; j < right; j++)
            if (best < 0 || map[i * width + j] > map[best]) best = i * width + j;
    y[item] = best < 0 ? (T)0 : map[best];
    where[item] = best;
}

// one item is a band of rows of the gradient of x: [B, C, bands of H]
template <class T, class I> ITEM void backward(Index item, const T* dy, const T* boxes, const I* images,
        const int* where, T* dx, int regions, int channels, int height, int width, int size, T scale) {
    int band = band_of(height), bands = (height + band - 1) / band, top, bottom;
    int first = item % bands * band, last = lesser(first + band, height) - 1;
    Index c = item / bands % channels, b = item / bands / channels;
    T* map = dx + (b * channels + c) * height * width;
    for (Index k = (Index)first * width; k < (Index)(last + 1) * width; k++) map[k] = 0;
    for (int r = 0; r < regions; r++) {
        if (images[r] != b) continue;
        Index start = ((Index)r * channels + c) * size * size;
        for (int bin = 0; bin < size; bin++) {
            window(boxes + r * 4, 1, bin, size, scale, height, &top, &bottom);
            if (last < top || first >= bottom) continue;
            for (Index k = start + bin * size; k < start + (bin + 1) * size; k++)
                if (where[k] >= first * width && where[k] < (last + 1) * width) map[where[k]] += dy[k];
        }
    }
}
"""

# boxes lie in order of score; a box is suppressed by an earlier kept one of its group
NMS = """
template <class T, class I> ITEM bool suppresses(const T* boxes, const I* groups, Index i, Index j, T threshold) {
    if (groups[i] != groups[j]) return false;
    const T *a = boxes + i * 4, *b = boxes + j * 4;
    T width = greater(lesser(a[2], b[2]) - greater(a[0], b[0]), (T)0);
    T height = greater(lesser(a[3], b[3]) - greater(a[1], b[1]), (T)0);
    T inner = width * height;
    T outer = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner;
    return outer > (T)0 && quotient(inner, outer) > threshold;
}

#ifdef __CUDACC__
// one block: the order in which boxes are settled is the definition
template <class T, class I> __global__ void settle(const T* boxes, const I* groups, const bool* allowed, bool* keep,
        Index n, T threshold) {
    for (Index i = threadIdx.x; i < n; i += blockDim.x) keep[i] = allowed[i];
    __syncthreads();
    for (Index i = 0; i < n; i++) {
        if (keep[i])
            for (Index j = i + 1 + threadIdx.x; j < n; j += blockDim.x)
                if (keep[j] && suppresses(boxes, groups, i, j, threshold)) keep[j] = false;
        __syncthreads();
    }
}
#endif
"""
NMS_CPU = """
    Index n = in0_shape0;
    in0_type threshold = data["threshold"];
    for (Index i = 0; i < n; i++) out0_p[i] = in2_p[i];
    for (Index i = 0; i < n; i++)
        if (out0_p[i])
            for (Index j = i + 1; j < n; j++)
                if (out0_p[j] && regions::suppresses(in0_p, in1_p, i, j, threshold)) out0_p[j] = false;
"""
NMS_CUDA = """
    if (in0_shape0)
        regions::settle<<<1, 1024>>>(in0_p, in1_p, in2_p, out0_p, (Index)in0_shape0, (in0_type)data["threshold"]);
"""
