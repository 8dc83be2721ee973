// curand as far as Jittor calls it, on the CPU.
static unsigned long long state = 1;
static double draw() { state = state * 6364136223846793005ull + 1442695040888963407ull; return ((state >> 11) + 1) / 9007199254740993.0; }
int curandCreateGenerator(void** h, int) { *h = &room; return 0; }
int curandSetPseudoRandomGeneratorSeed(void*, unsigned long long seed) { state = seed * 2 + 1; draw(); return 0; }
int curandGenerateUniform(void*, float* x, size_t n) { for (size_t i = 0; i < n; i++) x[i] = draw(); return 0; }
int curandGenerateUniformDouble(void*, double* x, size_t n) { for (size_t i = 0; i < n; i++) x[i] = draw(); return 0; }
static double normal(double mean, double spread) { return mean + spread * sqrt(-2 * log(draw())) * cos(6.283185307179586 * draw()); }
int curandGenerateNormal(void*, float* x, size_t n, float m, float s) { for (size_t i = 0; i < n; i++) x[i] = normal(m, s); return 0; }
int curandGenerateNormalDouble(void*, double* x, size_t n, double m, double s) {
    for (size_t i = 0; i < n; i++) x[i] = normal(m, s);
    return 0;
}
