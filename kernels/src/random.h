// The random bits of dropout: a function of a key and of an element's index, so that the backward pass draws them again.
#pragma once

#include "simd.h"

namespace LEVEL {

#if defined(__AVX512F__)

struct words {
  __m512i v;
};
static inline words all_words(uint32_t x) { return {_mm512_set1_epi32((int)x)}; }
static inline words counted() { return {_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)}; }
static inline words operator+(words a, words b) { return {_mm512_add_epi32(a.v, b.v)}; }
static inline words operator*(words a, words b) { return {_mm512_mullo_epi32(a.v, b.v)}; }
static inline words operator^(words a, words b) { return {_mm512_xor_si512(a.v, b.v)}; }
static inline words operator>>(words a, int n) { return {_mm512_srli_epi32(a.v, (unsigned)n)}; }
static inline void store(uint16_t *p, words a) { _mm512_storeu_si512(p, a.v); }

#else

struct words {
  __m256i v;
};
static inline words all_words(uint32_t x) { return {_mm256_set1_epi32((int)x)}; }
static inline words counted() { return {_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)}; }
static inline words operator+(words a, words b) { return {_mm256_add_epi32(a.v, b.v)}; }
static inline words operator*(words a, words b) { return {_mm256_mullo_epi32(a.v, b.v)}; }
static inline words operator^(words a, words b) { return {_mm256_xor_si256(a.v, b.v)}; }
static inline words operator>>(words a, int n) { return {_mm256_srli_epi32(a.v, n)}; }
static inline void store(uint16_t *p, words a) { _mm256_storeu_si256((__m256i *)p, a.v); }

#endif

// lowbias32 of Chris Wellons' hash prospector.
static inline words mixed(words x) {
  x = (x ^ (x >> 16)) * all_words(0x7feb352d);
  x = (x ^ (x >> 15)) * all_words(0x846ca68b);
  return x ^ (x >> 16);
}

// How many uint16_t `random_bits` needs for a row.
static inline int64_t random_room(int64_t width) { return width + 2 * LANES + 1; }

// 16 random bits for each element of a row that begins at `element`. Elements 2i and 2i + 1 take the low and the high bits
// of word i. Returns the first element's bits; they lie in `room`.
static inline const uint16_t *random_bits(uint64_t key, int64_t element, int64_t width, uint16_t *room) {
  const uint32_t golden = 0x9E3779B9;
  const int64_t odd = element & 1;
  const words high = all_words((uint32_t)(key >> 32)), step = all_words(golden * (uint32_t)LANES);
  words x = (all_words((uint32_t)(element >> 1)) + counted()) * all_words(golden) + all_words((uint32_t)key);
  for (int64_t c = 0; c < width + odd; c += 2 * LANES) {
    store(room + c, mixed(mixed(x) ^ high));
    x = x + step;
  }
  return room + odd;
}

// Drops elements whose bits are below `dropped`, and scales the others.
struct dropout {
  vec scale;
#if defined(__AVX512F__)
  __m256i least;

  explicit dropout(uint32_t dropped)
      : scale(all(dropped < 65536 ? 65536.0f / (float)(65536 - dropped) : 0.0f)),
        least(_mm256_set1_epi16((short)dropped)) {}
  vec operator()(vec a, const uint16_t *bits) const {
    __mmask16 keep = _mm256_cmp_epu16_mask(_mm256_loadu_si256((const __m256i *)bits), least, _MM_CMPINT_NLT);
    return {_mm512_maskz_mul_ps(keep, a.v, scale.v)};
  }
#else
  __m128i least;

  explicit dropout(uint32_t dropped)
      : scale(all(dropped < 65536 ? 65536.0f / (float)(65536 - dropped) : 0.0f)),
        least(_mm_set1_epi16((short)dropped)) {}
  vec operator()(vec a, const uint16_t *bits) const {
    __m128i b = _mm_loadu_si128((const __m128i *)bits);
    __m256i keep = _mm256_cvtepi16_epi32(_mm_cmpeq_epi16(_mm_max_epu16(b, least), b));
    return {_mm256_and_ps(_mm256_mul_ps(a.v, scale.v), _mm256_castsi256_ps(keep))};
  }
#endif
};

}  // namespace LEVEL
