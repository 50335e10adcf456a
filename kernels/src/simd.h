// Vectors of floats at the instruction set that this file is compiled for: AVX2 with FMA, AVX-512, or AVX512_BF16.
//
// Every source of kernels is compiled once for each level, inside of `namespace LEVEL`. Nothing of the C++ library with
// code of its own is included: the linker keeps one copy of an inline function, and that could be one of a level which the
// processor lacks.
#pragma once

// GCC before 13 takes the undefined vectors inside of its own header for mistakes (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#include <stdint.h>

#ifndef LEVEL
#error "LEVEL is the namespace of the instruction set"
#endif

namespace LEVEL {

typedef uint16_t bf16;

#if defined(__AVX512F__)

constexpr int64_t LANES = 16;

struct vec {
  __m512 v;
};

static inline vec zero() { return {_mm512_setzero_ps()}; }
static inline vec all(float x) { return {_mm512_set1_ps(x)}; }
static inline vec load(const float *p) { return {_mm512_loadu_ps(p)}; }
static inline void store(float *p, vec a) { _mm512_storeu_ps(p, a.v); }
// The first n of a vector, 0 < n <= LANES; the rest is zero, or is left alone.
static inline vec load(const float *p, int64_t n) { return {_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p)}; }
static inline void store(float *p, vec a, int64_t n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), a.v); }

static inline vec widened(__m256i h) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16))};
}
// Rounded to the nearest, ties to even; a NaN stays one.
static inline __m256i narrowed(vec a) {
#if defined(__AVX512BF16__)
  return (__m256i)_mm512_cvtneps_pbh(a.v);
#else
  __m512i u = _mm512_castps_si512(a.v);
  __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
  __m512i r = _mm512_srli_epi32(_mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
  __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
  r = _mm512_mask_mov_epi32(r, nan, _mm512_set1_epi32(0x7fc0));
  return _mm512_cvtepi32_epi16(r);
#endif
}
static inline vec load(const bf16 *p) { return widened(_mm256_loadu_si256((const __m256i *)p)); }
static inline void store(bf16 *p, vec a) { _mm256_storeu_si256((__m256i *)p, narrowed(a)); }
static inline vec load(const bf16 *p, int64_t n) { return widened(_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p)); }
static inline void store(bf16 *p, vec a, int64_t n) {
  _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1), narrowed(a));
}

static inline vec operator+(vec a, vec b) { return {_mm512_add_ps(a.v, b.v)}; }
static inline vec operator-(vec a, vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
static inline vec operator*(vec a, vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
static inline vec operator/(vec a, vec b) { return {_mm512_div_ps(a.v, b.v)}; }
static inline vec root(vec a) { return {_mm512_sqrt_ps(a.v)}; }
static inline vec least(vec a, vec b) { return {_mm512_min_ps(a.v, b.v)}; }
static inline vec most(vec a, vec b) { return {_mm512_max_ps(a.v, b.v)}; }
// a * b + c, rounded once.
static inline vec fma(vec a, vec b, vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
static inline float sum(vec a) { return _mm512_reduce_add_ps(a.v); }
static inline float most(vec a) { return _mm512_reduce_max_ps(a.v); }
static inline vec absolute(vec a) { return {_mm512_abs_ps(a.v)}; }
static inline vec nearest(vec a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
// a * 2 ** n, for whole n.
static inline vec scaled(vec a, vec n) { return {_mm512_scalef_ps(a.v, n.v)}; }
// a with the sign of b.
static inline vec with_sign(vec a, vec b) {
  return {_mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_castps_si512(a.v), _mm512_castps_si512(b.v),
                                                        _mm512_set1_epi32((int)0x80000000), 0xd8))};
}

#else  // AVX2 with FMA

constexpr int64_t LANES = 8;

struct vec {
  __m256 v;
};

static inline __m256i mask_of(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vec zero() { return {_mm256_setzero_ps()}; }
static inline vec all(float x) { return {_mm256_set1_ps(x)}; }
static inline vec load(const float *p) { return {_mm256_loadu_ps(p)}; }
static inline void store(float *p, vec a) { _mm256_storeu_ps(p, a.v); }
static inline vec load(const float *p, int64_t n) { return {_mm256_maskload_ps(p, mask_of(n))}; }
static inline void store(float *p, vec a, int64_t n) { _mm256_maskstore_ps(p, mask_of(n), a.v); }

static inline vec widened(__m128i h) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16))};
}
static inline __m128i narrowed(vec a) {
  __m256i u = _mm256_castps_si256(a.v);
  __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
  __m256i r = _mm256_srli_epi32(_mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a.v, a.v, _CMP_UNORD_Q));
  r = _mm256_blendv_epi8(r, _mm256_set1_epi32(0x7fc0), nan);
  return _mm_packus_epi32(_mm256_castsi256_si128(r), _mm256_extracti128_si256(r, 1));
}
static inline vec load(const bf16 *p) { return widened(_mm_loadu_si128((const __m128i *)p)); }
static inline void store(bf16 *p, vec a) { _mm_storeu_si128((__m128i *)p, narrowed(a)); }
static inline vec load(const bf16 *p, int64_t n) {
  bf16 part[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  for (int64_t i = 0; i < n; i++) part[i] = p[i];
  return load(part);
}
static inline void store(bf16 *p, vec a, int64_t n) {
  bf16 part[8];
  store(part, a);
  for (int64_t i = 0; i < n; i++) p[i] = part[i];
}

static inline vec operator+(vec a, vec b) { return {_mm256_add_ps(a.v, b.v)}; }
static inline vec operator-(vec a, vec b) { return {_mm256_sub_ps(a.v, b.v)}; }
static inline vec operator*(vec a, vec b) { return {_mm256_mul_ps(a.v, b.v)}; }
static inline vec operator/(vec a, vec b) { return {_mm256_div_ps(a.v, b.v)}; }
static inline vec root(vec a) { return {_mm256_sqrt_ps(a.v)}; }
static inline vec least(vec a, vec b) { return {_mm256_min_ps(a.v, b.v)}; }
static inline vec most(vec a, vec b) { return {_mm256_max_ps(a.v, b.v)}; }
static inline vec fma(vec a, vec b, vec c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
static inline float sum(vec a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
static inline float most(vec a) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
static inline vec absolute(vec a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)}; }
static inline vec nearest(vec a) { return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
static inline vec scaled(vec a, vec n) {
  __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127));
  return {_mm256_mul_ps(a.v, _mm256_castsi256_ps(_mm256_slli_epi32(e, 23)))};
}
static inline vec with_sign(vec a, vec b) {
  __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(_mm256_andnot_ps(sign, a.v), _mm256_and_ps(sign, b.v))};
}

#endif

// 2 ** a, for a of at most 127: to 1e-7 of itself, or with ROUGH to 1e-4, a twentieth of what bfloat16 resolves. Below
// -120 it is 2 ** -120, which nothing adds up to anything. Nearer to the least normal number, 2 ** -126, its product with
// a number below 1 is subnormal, and processors take a hundred times as long for that.
template <bool ROUGH>
static inline vec power_of_two(vec a) {
  a = most(all(-120.0f), a);  // in this order a NaN stays one
#if defined(__AVX512F__)
  vec r = {_mm512_reduce_ps(a.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)}, n = a;  // scalef takes the floor itself
#else
  vec n = {_mm256_floor_ps(a.v)}, r = a - n;
#endif
  vec p;
  if (ROUGH) {
    p = fma(all(0.0780228749f), r, all(0.226065964f));
    p = fma(p, r, all(0.695835888f));
    p = fma(p, r, all(0.999924779f));
  } else {
    p = fma(all(2.17021501e-4f), r, all(1.24396896e-3f));
    p = fma(p, r, all(9.67884436e-3f));
    p = fma(p, r, all(5.54833375e-2f));
    p = fma(p, r, all(0.240229845f));
    p = fma(p, r, all(0.693147004f));
    p = fma(p, r, all(1.0f));
  }
  return scaled(p, n);
}

// 1 / a to 1e-7 of itself, or with ROUGH to 1e-4.
template <bool ROUGH>
static inline vec reciprocal(vec a) {
#if defined(__AVX512F__)
  vec r = {_mm512_rcp14_ps(a.v)};
  return ROUGH ? r : fma(r, {_mm512_fnmadd_ps(a.v, r.v, _mm512_set1_ps(1.0f))}, r);
#else
  return all(1.0f) / a;
#endif
}

// What a step of `columns` works on: a whole vector, or the first n numbers of one. turn counts from 0 to 3 and begins
// again, so that a sum held in four vectors does not wait for each addition.
struct whole {
  int turn;
};
struct part {
  int turn;
  int64_t n;
};

template <typename T>
static inline vec load(const T *p, whole) {
  return load(p);
}
template <typename T>
static inline vec load(const T *p, part some) {
  return load(p, some.n);
}
template <typename T>
static inline void store(T *p, vec a, whole) {
  store(p, a);
}
template <typename T>
static inline void store(T *p, vec a, part some) {
  store(p, a, some.n);
}
// a, with zero behind the part.
static inline vec within(vec a, whole) { return a; }
static inline vec within(vec a, part some) {
#if defined(__AVX512F__)
  return {_mm512_maskz_mov_ps((__mmask16)((1u << some.n) - 1), a.v)};
#else
  return {_mm256_and_ps(a.v, _mm256_castsi256_ps(mask_of(some.n)))};
#endif
}

// Calls step(column, whole or part) for every vector of a row.
template <typename F>
static inline void columns(int64_t width, F step) {
  int64_t c = 0;
  for (; c + 4 * LANES <= width; c += 4 * LANES) {
    step(c, whole{0});
    step(c + LANES, whole{1});
    step(c + 2 * LANES, whole{2});
    step(c + 3 * LANES, whole{3});
  }
  for (; c + LANES <= width; c += LANES) step(c, whole{0});
  if (c < width) step(c, part{0, width - c});
}

// A sum held in four vectors.
struct sums {
  vec of[4] = {zero(), zero(), zero(), zero()};

  vec &operator[](int turn) { return of[turn]; }
  float total() const { return sum((of[0] + of[1]) + (of[2] + of[3])); }
};

}  // namespace LEVEL
