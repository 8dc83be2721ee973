// cuDNN as far as Jittor calls it, on the CPU: convolutions of float32.
struct Descriptor { int kind, format, dims[4], strides[4], pad[2], stride[2], dilation[2], groups; };
int cudnnCreate(void** h) { *h = &room; return 0; }
size_t cudnnGetVersion() { return 91900; }
const char* cudnnGetErrorString(int) { return "emulated"; }
#define DESCRIPTOR(kind) \
    int cudnnCreate##kind##Descriptor(void** d) { *d = calloc(1, sizeof(Descriptor)); return 0; } \
    int cudnnDestroy##kind##Descriptor(void* d) { free(d); return 0; }
DESCRIPTOR(Tensor) DESCRIPTOR(Filter) DESCRIPTOR(Convolution) DESCRIPTOR(Dropout) DESCRIPTOR(RNN)
int cudnnSetTensorNdDescriptor(Descriptor* d, int kind, int n, const int* dims, const int* strides) {
    if (n != 4) return 9;
    for (int i = 0; i < 4; i++) {
        if (dims[i] < 1) { fprintf(stderr, "emulated cuDNN: a dimension of %d\n", dims[i]); return 3; }
        d->dims[i] = dims[i], d->strides[i] = strides[i];
    }
    d->kind = kind;
    return 0;
}
int cudnnSetFilterNdDescriptor(Descriptor* d, int kind, int format, int n, const int* dims) {
    if (n != 4) return 9;
    d->kind = kind, d->format = format;
    for (int i = 0; i < 4; i++) d->dims[i] = dims[i];
    int *s = d->strides, *k = d->dims;
    if (format == 0) s[3] = 1, s[2] = k[3], s[1] = k[2] * k[3], s[0] = k[1] * s[1];
    else s[1] = 1, s[3] = k[1], s[2] = k[3] * k[1], s[0] = k[2] * s[2];
    return 0;
}
int cudnnSetConvolutionNdDescriptor(Descriptor* d, int n, const int* pad, const int* stride, const int* dilation, int, int kind) {
    d->kind = kind, d->groups = 1;
    for (int i = 0; i < 2; i++) d->pad[i] = pad[i], d->stride[i] = stride[i], d->dilation[i] = dilation[i];
    return 0;
}
int cudnnSetConvolutionGroupCount(Descriptor* d, int groups) { d->groups = groups; return 0; }
#define SEARCH(name) int name(void*, void*, void*, void*, void*, int, int* n, int* p) { *n = 1; memset(p, 0, 48); return 0; }
SEARCH(cudnnGetConvolutionForwardAlgorithm_v7)
SEARCH(cudnnGetConvolutionBackwardDataAlgorithm_v7)
SEARCH(cudnnGetConvolutionBackwardFilterAlgorithm_v7)
typedef void* P;
#define FIND(name) int name(P, P, P, P, P, P, P, P, int, int* n, int* p, P, size_t) { *n = 1; memset(p, 0, 48); return 0; }
FIND(cudnnFindConvolutionForwardAlgorithmEx)
FIND(cudnnFindConvolutionBackwardDataAlgorithmEx)
FIND(cudnnFindConvolutionBackwardFilterAlgorithmEx)
#define SIZE(name) int name(void*, void*, void*, void*, void*, int, size_t* n) { *n = 0; return 0; }
SIZE(cudnnGetConvolutionForwardWorkspaceSize)
SIZE(cudnnGetConvolutionBackwardDataWorkspaceSize)
SIZE(cudnnGetConvolutionBackwardFilterWorkspaceSize)
}
// calls f(place in x, place in w, place in y) for every product
template <class F> static void products(Descriptor* x, Descriptor* w, Descriptor* c, Descriptor* y, F f) {
    int inner = w->dims[1], outer = w->dims[0] / c->groups;
    for (int b = 0; b < y->dims[0]; b++) for (int o = 0; o < y->dims[1]; o++)
    for (int i = 0; i < inner; i++) for (int r = 0; r < w->dims[2]; r++) for (int s = 0; s < w->dims[3]; s++)
    for (int p = 0; p < y->dims[2]; p++) {
        int u = p * c->stride[0] - c->pad[0] + r * c->dilation[0];
        if (u < 0 || u >= x->dims[2]) continue;
        for (int q = 0; q < y->dims[3]; q++) {
            int v = q * c->stride[1] - c->pad[1] + s * c->dilation[1];
            if (v < 0 || v >= x->dims[3]) continue;
            f(b * (long)x->strides[0] + (o / outer * inner + i) * (long)x->strides[1] + u * (long)x->strides[2] + v * (long)x->strides[3],
                o * (long)w->strides[0] + i * (long)w->strides[1] + r * (long)w->strides[2] + s * (long)w->strides[3],
                b * (long)y->strides[0] + o * (long)y->strides[1] + p * (long)y->strides[2] + q * (long)y->strides[3]);
        }
    }
}
static void clear(Descriptor* d, float* p) { memset(p, 0, sizeof(float) * d->dims[0] * d->dims[1] * d->dims[2] * d->dims[3]); }
static bool single(Descriptor* a, Descriptor* b, Descriptor* c) {
    if (a->kind == 0 && b->kind == 0 && c->kind == 0) return true;
    fprintf(stderr, "emulated cuDNN: not supported\n");
    return false;
}
extern "C" {
int cudnnConvolutionForward(P, const void*, Descriptor* x, const float* xp, Descriptor* w, const float* wp, Descriptor* c, int, P, size_t,
        const void*, Descriptor* y, float* yp) {
    if (!single(x, w, y)) return 3000;
    clear(y, yp);
    products(x, w, c, y, [&](long i, long j, long k) { yp[k] += xp[i] * wp[j]; });
    return 0;
}
int cudnnConvolutionBackwardData(P, const void*, Descriptor* w, const float* wp, Descriptor* y, const float* yp, Descriptor* c, int, P,
        size_t, const void*, Descriptor* x, float* xp) {
    if (!single(x, w, y)) return 3000;
    clear(x, xp);
    products(x, w, c, y, [&](long i, long j, long k) { xp[i] += yp[k] * wp[j]; });
    return 0;
}
int cudnnConvolutionBackwardFilter(P, const void*, Descriptor* x, const float* xp, Descriptor* y, const float* yp, Descriptor* c, int, P,
        size_t, const void*, Descriptor* w, float* wp) {
    if (!single(x, w, y)) return 3000;
    clear(w, wp);
    products(x, w, c, y, [&](long i, long j, long k) { wp[j] += xp[i] * yp[k]; });
    return 0;
}
