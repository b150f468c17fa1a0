/* The leaf functions of generated C in float32 and float64.

   In float32 they have no branch, so that a loop over them is vectorized; the errors, in units in the last
   place, are measured by tests/numeric/test_native.py. In float64 they are those of the C library.
   The coefficients are Chebyshev fits of (exp(r) - 1 - r) / r^2 on |r| <= log(2) / 2. */

#include <math.h>

/* The turns of the loop that follows read nothing that another of them writes. */
#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define INDEPENDENT _Pragma("GCC ivdep")
#else
#define INDEPENDENT
#endif

/* The loop that follows is divided among PyTorch's threads where it has many turns. */
#if defined(_OPENMP)
#define TEXT(x) #x
#define PARALLEL(turns) _Pragma(TEXT(omp parallel for if ((turns) >= 4096)))
#else
#define PARALLEL(turns)
#endif

#ifdef SINGLE
typedef float real;

/* 2^n for -126 <= n <= 127. */
static inline float power_of_two(float n)
{
    union { int bits; float value; } made = { ((int)n + 127) << 23 };
    return made.value;
}

/* exp(x) = 2^n (1 + r + r^2 p): sets n and the rest r + r^2 p. */
static inline float reduced(float x, float *n)
{
    *n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;
    float r = fmaf(*n, -0.693359375f, x);
    r = fmaf(*n, 2.12194440e-4f, r);
    float p = 0.00019891080464f;
    p = fmaf(p, r, 0.00139337307158f);
    p = fmaf(p, r, 0.00833331084465f);
    p = fmaf(p, r, 0.0416664641974f);
    p = fmaf(p, r, 0.166666666817f);
    p = fmaf(p, r, 0.5f);
    return fmaf(r * r, p, r);
}

static inline float exp_single(float x)
{
    float n, y = x > 89.0f ? 89.0f : x < -104.0f ? -104.0f : x;
    float rest = reduced(y, &n);
    float half = (n * 0.5f + 12582912.0f) - 12582912.0f;
    return (1.0f + rest) * power_of_two(half) * power_of_two(n - half);
}

static inline float sigmoid_single(float x)
{
    float e = exp_single(-fabsf(x)), s = 1.0f / (1.0f + e);
    return x < 0.0f ? e * s : s;
}

static inline float tanh_single(float x)
{
    float n, y = 2.0f * fabsf(x);
    float rest = reduced(y > 40.0f ? 40.0f : y, &n), scale = power_of_two(n);
    float e = fmaf(scale, rest, scale - 1.0f);
    return copysignf(e / (e + 2.0f), x);
}

#define exp exp_single
#define tanh tanh_single
#define sigmoid sigmoid_single
#define sqrt sqrtf
#define log logf
#define log1p log1pf
#define expm1 expm1f
#define sin sinf
#define cos cosf
#define erf erff
#define erfc erfcf
#define pow powf
#define fabs fabsf
#else
typedef double real;

static inline double sigmoid(double x)
{
    double e = exp(-fabs(x)), s = 1 / (1 + e);
    return x < 0 ? e * s : s;
}
#endif

#define square(x) ((x) * (x))
#define maximum(x, y) ((x) != (x) || (x) > (y) ? (x) : (y))
#define minimum(x, y) ((x) != (x) || (x) < (y) ? (x) : (y))
