// cuBLAS as far as Jittor calls it, on the CPU; what the real one refuses is refused, as sums of float32 of float64.
// Memory is column by column; kinds: 0 float32, 1 float64; 68 and 70: sums of float32, of float64.
int cublasCreate_v2(void** h) { *h = &room; return 0; }
static int refused() { fprintf(stderr, "emulated cuBLAS: not supported\n"); return 15; }
}
template <class T> static void gemm(int ta, int tb, int m, int n, int k, const T* a, int lda, const T* b, int ldb, T* c, int ldc) {
    for (int j = 0; j < n; j++)
        for (int i = 0; i < m; i++) {
            T sum = 0;
            for (int l = 0; l < k; l++) sum += (ta ? a[i * (long)lda + l] : a[l * (long)lda + i]) * (tb ? b[l * (long)ldb + j] : b[j * (long)ldb + l]);
            c[j * (long)ldc + i] = sum;
        }
}
extern "C" {
int cublasGemmStridedBatchedEx(void*, int ta, int tb, int m, int n, int k, const void*, const void* a, int ka, int lda, long long sa,
        const void* b, int kb, int ldb, long long sb, const void*, void* c, int kc, int ldc, long long sc, int batch, int compute, int) {
    bool single = ka == 0 && kb == 0 && kc == 0 && compute == 68, wide = ka == 1 && kb == 1 && kc == 1 && compute == 70;
    if (!single && !wide) return refused();
    for (int i = 0; i < batch; i++)
        if (single) gemm(ta, tb, m, n, k, (const float*)a + i * sa, lda, (const float*)b + i * sb, ldb, (float*)c + i * sc, ldc);
        else gemm(ta, tb, m, n, k, (const double*)a + i * sa, lda, (const double*)b + i * sb, ldb, (double*)c + i * sc, ldc);
    return 0;
}
int cublasGemmEx(void* h, int ta, int tb, int m, int n, int k, const void* alpha, const void* a, int ka, int lda, const void* b, int kb,
        int ldb, const void* beta, void* c, int kc, int ldc, int compute, int algorithm) {
    return cublasGemmStridedBatchedEx(h, ta, tb, m, n, k, alpha, a, ka, lda, 0, b, kb, ldb, 0, beta, c, kc, ldc, 0, 1, compute, algorithm);
}
