// Attention within texts, forward and backward: for each text and head six small products around a softmax.
//
// All products run through one `multiply`: its left side is read word by word, its right side vector by vector. A word
// is a float, or with PAIRS two neighbouring bfloat16 numbers, whose products the processor adds up in float. So the
// right side of a product holds pairs of rows, one number from each in a word.
//
// The scores of a block of queries are held as a whole: texts have thousands of keys, not millions. The backward pass
// computes them again from the logarithms of their sums (Dao et al. 2022, FlashAttention).
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"
#include "simd.h"

namespace LEVEL {
namespace {

#if defined(__AMX_BF16__)
constexpr bool TILES = true;
constexpr int64_t BLOCK = 64;
#else
constexpr bool TILES = false;
constexpr int64_t BLOCK = 48;  // queries at once: their scores of 512 keys take 96 kB
#endif
#if defined(__AVX512F__)
constexpr int ROWS = 12, VECTORS = 2;  // of a product in registers
#else
constexpr int ROWS = 6, VECTORS = 2;
#endif
// AMX multiplies tiles of 16 rows by 16 words, so with it all sides are whole tiles: of words, and of pairs of keys.
constexpr int64_t TILE = 16;
constexpr int64_t WHOLE = TILES ? TILE : 1;
constexpr int64_t KEYS = TILES ? 2 * TILE : LANES;
const float NEVER = -INFINITY;
constexpr float LOG2_E = 1.44269504f;

int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

// ---- Words ---------------------------------------------------------------------------------------------------------

template <bool PAIRS>
vec multiply_add(vec a, vec b, vec c) {
#if defined(__AVX512BF16__)
  if constexpr (PAIRS) return {_mm512_dpbf16_ps(c.v, (__m512bh)a.v, (__m512bh)b.v)};
#endif
  return fma(a, b, c);
}

// How many words hold n numbers.
template <bool PAIRS>
constexpr int64_t words(int64_t n) {
  return PAIRS ? (n + 1) / 2 : n;
}

// Words `at` to at + LANES of a row of `width` numbers; what lies beyond the row is zero.
template <bool PAIRS, class T>
vec row_words(const T *row, int64_t at, int64_t width) {
#if defined(__AVX512BF16__)
  if constexpr (PAIRS) {
    int64_t left = width - 2 * at;
    __mmask32 mask = left >= 32 ? 0xffffffffu : (1u << left) - 1;
    return {_mm512_castsi512_ps(_mm512_maskz_loadu_epi16(mask, row + 2 * at))};
  }
#endif
  int64_t left = width - at;
  return left >= LANES ? load(row + at) : load(row + at, left);
}

// Words of two rows: a number of the first beside one of the second.
template <class T>
vec paired(vec first, vec second) {
#if defined(__AVX512BF16__)
  __m512i low = _mm512_cvtepu16_epi32(narrowed(first));
  __m512i high = _mm512_slli_epi32(_mm512_cvtepu16_epi32(narrowed(second)), 16);
  return {_mm512_castsi512_ps(_mm512_or_si512(low, high))};
#else
  (void)second;
  return first;
#endif
}

#if defined(__AVX512F__)
void transpose(vec r[16]) {
  __m512 t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i].v, r[i + 1].v);
    t[i + 1] = _mm512_unpackhi_ps(r[i].v, r[i + 1].v);
  }
  __m512 u[16];
  for (int i = 0; i < 16; i += 4)
    for (int j = 0; j < 2; j++) {
      __m512d a = _mm512_castps_pd(t[i + j]), b = _mm512_castps_pd(t[i + 2 + j]);
      u[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
      u[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
    }
  // u[4 * g + c] holds columns c, c + 4, c + 8, c + 12 of the rows 4 g to 4 g + 3.
  for (int c = 0; c < 4; c++) {
    __m512 a = _mm512_shuffle_f32x4(u[c], u[4 + c], 0x88), b = _mm512_shuffle_f32x4(u[8 + c], u[12 + c], 0x88);
    __m512 d = _mm512_shuffle_f32x4(u[c], u[4 + c], 0xdd), e = _mm512_shuffle_f32x4(u[8 + c], u[12 + c], 0xdd);
    r[c].v = _mm512_shuffle_f32x4(a, b, 0x88);
    r[c + 8].v = _mm512_shuffle_f32x4(a, b, 0xdd);
    r[c + 4].v = _mm512_shuffle_f32x4(d, e, 0x88);
    r[c + 12].v = _mm512_shuffle_f32x4(d, e, 0xdd);
  }
}
#else
void transpose(vec r[8]) {
  __m256 t[8], u[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i].v, r[i + 1].v);
    t[i + 1] = _mm256_unpackhi_ps(r[i].v, r[i + 1].v);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; j++) {
      u[i + 2 * j] = _mm256_shuffle_ps(t[i + j], t[i + 2 + j], 0x44);
      u[i + 2 * j + 1] = _mm256_shuffle_ps(t[i + j], t[i + 2 + j], 0xee);
    }
  for (int c = 0; c < 4; c++) {
    r[c].v = _mm256_permute2f128_ps(u[c], u[4 + c], 0x20);
    r[c + 4].v = _mm256_permute2f128_ps(u[c], u[4 + c], 0x31);
  }
}
#endif

// 2 ** a, for a of at most 127: to 1e-7 of itself, or with ROUGH to 1e-4, a twentieth of what bfloat16 resolves. Below
// -126 it is 2 ** -126, which nothing adds up to anything.
template <bool ROUGH>
vec power_of_two(vec a) {
  a = most(a, all(-126.0f));
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

// ---- Matrices of words ---------------------------------------------------------------------------------------------

// The right side of a product over the width: [words of the width, up(rows, KEYS)], from rows of numbers.
template <bool PAIRS, class T>
void pack_transposed(const T *from, int64_t stride, int64_t rows, int64_t width, float *into) {
  int64_t columns = up(rows, KEYS), deep = up(words<PAIRS>(width), WHOLE);
  for (int64_t first = 0; first < columns; first += LANES)
    for (int64_t at = 0; at < deep; at += LANES) {
      vec r[LANES];
      int64_t some = least(LANES, rows - first);
      for (int64_t i = 0; i < LANES; i++)
        r[i] = i < some ? row_words<PAIRS>(from + (first + i) * stride, at, width) : zero();
      transpose(r);
      int64_t n = least(LANES, deep - at);
      for (int64_t i = 0; i < n; i++) store(into + (at + i) * columns + first, r[i]);
    }
}

// The right side of a product over the rows: [words of the rows, up(width)].
template <bool PAIRS, class T>
void pack_rows(const T *from, int64_t stride, int64_t rows, int64_t width, float *into) {
  int64_t columns = up(width, LANES), step = PAIRS ? 2 : 1;
  for (int64_t i = 0; i < rows; i += step)
    for (int64_t at = 0; at < width; at += LANES) {
      int64_t n = least(LANES, width - at);
      vec a = load(from + i * stride + at, n);
      if (PAIRS) a = paired<T>(a, i + 1 < rows ? load(from + (i + 1) * stride + at, n) : zero());
      store(into + i / step * columns + at, a);
    }
  if (TILES) {
    int64_t deep = words<PAIRS>(rows);
    memset(into + deep * columns, 0, (size_t)((up(deep, WHOLE) - deep) * columns) * sizeof(float));
  }
}

// The left side of a product over the width: [rows, up(words)].
template <bool PAIRS, class T>
void pack_left(const T *from, int64_t stride, int64_t rows, int64_t width, float *into) {
  int64_t deep = words<PAIRS>(width), columns = up(deep, LANES);
  for (int64_t i = 0; i < rows; i++)
    for (int64_t at = 0; at < deep; at += LANES)
      store(into + i * columns + at, row_words<PAIRS>(from + i * stride, at, width));
}

// ---- Products ------------------------------------------------------------------------------------------------------

// Left word (row, k) is left[row * by_row + k * by_word]; right word (k, column) is right[k * right_stride + column].
struct Product {
  const float *left;
  int64_t by_row, by_word;
  const float *right;
  int64_t right_stride;
  float *out;
  int64_t out_stride;
  int64_t rows, columns, deep;  // columns: a multiple of LANES
  bool adds;                    // to what `out` holds
};

template <bool PAIRS, int R, int V>
void tile(const Product &p, int64_t row, int64_t column) {
  vec sums[R][V];
  float *out = p.out + row * p.out_stride + column;
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) sums[r][v] = p.adds ? load(out + r * p.out_stride + v * LANES) : zero();
  const float *left = p.left + row * p.by_row, *right = p.right + column;
  for (int64_t k = 0; k < p.deep; k++) {
    vec b[V];
    for (int v = 0; v < V; v++) b[v] = load(right + v * LANES);
    for (int r = 0; r < R; r++) {
      vec a = all(left[r * p.by_row]);
      for (int v = 0; v < V; v++) sums[r][v] = multiply_add<PAIRS>(a, b[v], sums[r][v]);
    }
    left += p.by_word;
    right += p.right_stride;
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) store(out + r * p.out_stride + v * LANES, sums[r][v]);
}

template <bool PAIRS, int R, int V>
void some_rows(const Product &p, int64_t row, int64_t column) {
  if constexpr (R > 1) {
    if (p.rows - row < R) return some_rows<PAIRS, R - 1, V>(p, row, column);
  }
  tile<PAIRS, R, V>(p, row, column);
}

template <bool PAIRS, int V>
void columns_of(const Product &p, int64_t column) {
  for (int64_t row = 0; row < p.rows; row += ROWS) some_rows<PAIRS, ROWS, V>(p, row, column);
}

#if defined(__AMX_BF16__)
// R by C tiles of the product. Rows and words beyond it are computed, too: all sides have memory for whole tiles, and the
// words beyond `deep` are zero.
template <int R, int C>
void tiles(const Product &p, int64_t row, int64_t column) {
  float *out = p.out + row * p.out_stride + column;
  size_t out_stride = (size_t)p.out_stride * 4, left_stride = (size_t)p.by_row * 4;
  size_t right_stride = (size_t)p.right_stride * 4;
  float *below = out + TILE * p.out_stride;
  if (p.adds) {
    _tile_loadd(0, out, out_stride);
    if (C > 1) _tile_loadd(1, out + TILE, out_stride);
    if (R > 1) _tile_loadd(2, below, out_stride);
    if (R > 1 && C > 1) _tile_loadd(3, below + TILE, out_stride);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t k = 0; k < p.deep; k += TILE) {
    const float *left = p.left + row * p.by_row + k, *right = p.right + k * p.right_stride + column;
    _tile_loadd(4, left, left_stride);
    _tile_loadd(6, right, right_stride);
    _tile_dpbf16ps(0, 4, 6);
    if (C > 1) {
      _tile_loadd(7, right + TILE, right_stride);
      _tile_dpbf16ps(1, 4, 7);
    }
    if (R > 1) {
      _tile_loadd(5, left + TILE * p.by_row, left_stride);
      _tile_dpbf16ps(2, 5, 6);
      if (C > 1) _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, out, out_stride);
  if (C > 1) _tile_stored(1, out + TILE, out_stride);
  if (R > 1) _tile_stored(2, below, out_stride);
  if (R > 1 && C > 1) _tile_stored(3, below + TILE, out_stride);
}

template <int C>
void tile_columns(const Product &p, int64_t column) {
  int64_t row = 0;
  for (; row + TILE < p.rows; row += 2 * TILE) tiles<2, C>(p, row, column);
  if (row < p.rows) tiles<1, C>(p, row, column);
}

// Eight tiles of 16 rows of 64 bytes each, until `_tile_release`.
void configure_tiles() {
  struct {
    uint8_t palette, row, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
  } shapes;
  memset(&shapes, 0, sizeof shapes);
  shapes.palette = 1;
  for (int i = 0; i < 8; i++) shapes.bytes[i] = 64, shapes.rows[i] = 16;
  _tile_loadconfig(&shapes);
}
#endif

template <bool PAIRS>
void multiply(const Product &p) {
  int64_t column = 0;
#if defined(__AMX_BF16__)
  if constexpr (PAIRS) {
    for (; column + TILE < p.columns; column += 2 * TILE) tile_columns<2>(p, column);
    if (column < p.columns) tile_columns<1>(p, column);
    return;
  }
#endif
  for (; column + VECTORS * LANES <= p.columns; column += VECTORS * LANES) columns_of<PAIRS, VECTORS>(p, column);
  for (; column < p.columns; column += LANES) columns_of<PAIRS, 1>(p, column);
}

// ---- A head of a text ----------------------------------------------------------------------------------------------

// Memory of one call, handed out in pieces of whole cache lines.
struct Scratch {
  float *memory;
  int64_t used;
  float *take(int64_t floats) {
    float *piece = memory + used;
    used += up(floats, 16);
    return piece;
  }
};

float *allocate(int64_t floats) {
  void *memory = nullptr;
  if (posix_memalign(&memory, 64, (size_t)floats * sizeof(float)) != 0) abort();
  return (float *)memory;
}

template <class T>
struct Head {
  const textclf_attention &a;
  int64_t queries, keys, first_query, first_key, column;
  const T *query, *key, *value;

  Head(const textclf_attention &all, int64_t unit) : a(all) {
    int64_t text = unit / a.heads, head = unit % a.heads;
    first_query = a.query_borders[text], queries = a.query_borders[text + 1] - first_query;
    first_key = a.borders[text], keys = a.borders[text + 1] - first_key;
    column = head * a.width;
    query = (const T *)a.query + first_query * a.query_stride + column;
    key = (const T *)a.key + first_key * a.key_stride + column;
    value = (const T *)a.value + first_key * a.value_stride + column;
  }
  float *logs() const { return a.logs ? a.logs + column / a.width * a.queries + first_query : nullptr; }
  // The first key that query i sees, and the one behind the last.
  int64_t from(int64_t i) const { return a.reach < 0 ? 0 : least(most(0, i - a.reach), keys); }
  int64_t to(int64_t i) const {
    int64_t end = a.causal ? i + 1 : a.reach < 0 ? keys : i + a.reach + 1;
    return least(end, keys);
  }
};

// Scores of the keys first to last for a block of queries; those that a query does not see are minus infinity.
template <bool PAIRS, class T>
void score(const Head<T> &head, int64_t block, int64_t rows, int64_t first, int64_t last, const float *queries,
           const float *keys, float *scores, int64_t stride) {
  int64_t deep = words<PAIRS>(head.a.width), columns = up(last - first, KEYS);
  multiply<PAIRS>({queries, up(deep, LANES), 1, keys + first, stride, scores, stride, rows, columns, deep, false});
  for (int64_t i = 0; i < rows; i++) {
    float *row = scores + i * stride;
    for (int64_t j = head.from(block + i) - first; j > 0;) {
      int64_t n = least(LANES, j);
      store(row + (j -= n), all(NEVER), n);
    }
    for (int64_t j = head.to(block + i) - first; j < columns;) {
      int64_t n = least(LANES, columns - j);
      store(row + j, all(NEVER), n);
      j += n;
    }
  }
}

template <bool PAIRS, class T>
void forward(const Head<T> &head, Scratch scratch) {
  const textclf_attention &a = head.a;
  int64_t keys = head.keys, width = a.width, deep = words<PAIRS>(width);
  int64_t stride = up(keys, KEYS), wide = up(width, LANES), step = PAIRS ? 2 : 1;
  float *by_width = scratch.take(up(deep, WHOLE) * stride), *by_key = scratch.take(stride / step * wide);
  float *queries = scratch.take(BLOCK * up(deep, LANES)), *scores = scratch.take(BLOCK * stride);
  float *weights = PAIRS ? scratch.take(BLOCK * stride / 2) : scores, *found = scratch.take(BLOCK * wide);
  pack_transposed<PAIRS>(head.key, a.key_stride, keys, width, by_width);
  pack_rows<PAIRS>(head.value, a.value_stride, keys, width, by_key);
  for (int64_t block = 0; block < head.queries; block += BLOCK) {
    int64_t rows = least(BLOCK, head.queries - block);
    int64_t first = head.from(block) / KEYS * KEYS, last = head.to(block + rows - 1);
    int64_t columns = up(last - first, KEYS);
    pack_left<PAIRS>(head.query + block * a.query_stride, a.query_stride, rows, width, queries);
    score<PAIRS>(head, block, rows, first, last, queries, by_width, scores, stride);
    float sums[BLOCK];
    for (int64_t i = 0; i < rows; i++) {
      float *row = scores + i * stride;
      vec highest = all(NEVER);
      for (int64_t j = 0; j < columns; j += LANES) highest = most(highest, load(row + j));
      float top = most(highest) * a.scale;
      vec total = zero(), scale = all(a.scale * LOG2_E), shift = all(-top * LOG2_E);
      for (int64_t j = 0; j < columns; j += LANES) {
        vec e = power_of_two<PAIRS>(fma(load(row + j), scale, shift));
        total = total + e;
        if (PAIRS)
          store((bf16 *)weights + i * stride + j, e);
        else
          store(row + j, e);
      }
      sums[i] = sum(total);
      if (float *logs = head.logs()) logs[block + i] = top + logf(sums[i]);
    }
    multiply<PAIRS>({weights, stride / step, 1, by_key + first / step * wide, wide, found, wide, rows, wide,
                     words<PAIRS>(last - first), false});
    T *out = (T *)a.out + (head.first_query + block) * a.out_stride + head.column;
    for (int64_t i = 0; i < rows; i++) {
      vec share = all(1.0f / sums[i]);
      for (int64_t at = 0; at < width; at += LANES)
        store(out + i * a.out_stride + at, load(found + i * wide + at) * share, least(LANES, width - at));
    }
  }
}

// Words of two rows of floats each: [pairs of rows, columns].
[[maybe_unused]] void pack_pairs(const float *from, int64_t stride, int64_t rows, int64_t columns, float *into) {
  for (int64_t i = 0; i < rows; i += 2)
    for (int64_t j = 0; j < columns; j += LANES) {
      const float *at = from + i * stride + j;
      store(into + i / 2 * stride + j, paired<bf16>(load(at), i + 1 < rows ? load(at + stride) : zero()));
    }
}

// The same, transposed: [columns, BLOCK / 2], of whole tiles.
[[maybe_unused]] void pack_pairs_by_key(const float *from, int64_t stride, int64_t rows, int64_t columns, float *into) {
  for (int64_t i = 0; i < rows; i += 2 * LANES)
    for (int64_t j = 0; j < columns; j += LANES) {
      vec r[LANES];
      for (int64_t n = 0; n < LANES; n++) {
        int64_t row = i + 2 * n;
        const float *at = from + row * stride + j;
        r[n] = row < rows ? paired<bf16>(load(at), row + 1 < rows ? load(at + stride) : zero()) : zero();
      }
      transpose(r);
      for (int64_t n = 0; n < LANES; n++) store(into + (j + n) * (BLOCK / 2) + i / 2, r[n]);
    }
}

template <class T>
void write(T *into, int64_t stride, const float *from, int64_t rows, int64_t width) {
  int64_t wide = up(width, LANES);
  for (int64_t i = 0; i < rows; i++)
    for (int64_t at = 0; at < width; at += LANES)
      store(into + i * stride + at, load(from + i * wide + at), least(LANES, width - at));
}

template <bool PAIRS, class T>
void backward(const Head<T> &head, Scratch scratch) {
  const textclf_attention &a = head.a;
  int64_t keys = head.keys, width = a.width, deep = words<PAIRS>(width);
  int64_t stride = up(keys, KEYS), wide = up(width, LANES), step = PAIRS ? 2 : 1, left = up(deep, LANES);
  float *keys_by_width = scratch.take(up(deep, WHOLE) * stride);
  float *values_by_width = scratch.take(up(deep, WHOLE) * stride), *keys_by_key = scratch.take(stride / step * wide);
  float *queries = scratch.take(BLOCK * left), *gradients = scratch.take(BLOCK * left);
  float *queries_by_row = scratch.take(BLOCK * wide), *gradients_by_row = scratch.take(BLOCK * wide);
  float *scores = scratch.take(BLOCK * stride), *changes = scratch.take(BLOCK * stride);
  // With PAIRS three forms of them: changes by query, and both in pairs of queries.
  float *by_query = PAIRS ? scratch.take(BLOCK * stride / 2) : changes;
  float *weight_pairs = PAIRS ? scratch.take(BLOCK * stride / 2) : scores;
  float *change_pairs = PAIRS ? scratch.take(BLOCK * stride / 2) : changes;
  float *key_sums = scratch.take(stride * wide), *value_sums = scratch.take(stride * wide);
  float *query_sums = scratch.take(BLOCK * wide);
  memset(key_sums, 0, (size_t)(stride * wide) * sizeof(float));
  memset(value_sums, 0, (size_t)(stride * wide) * sizeof(float));
  pack_transposed<PAIRS>(head.key, a.key_stride, keys, width, keys_by_width);
  pack_transposed<PAIRS>(head.value, a.value_stride, keys, width, values_by_width);
  pack_rows<PAIRS>(head.key, a.key_stride, keys, width, keys_by_key);
  for (int64_t block = 0; block < head.queries; block += BLOCK) {
    int64_t rows = least(BLOCK, head.queries - block), row = head.first_query + block;
    int64_t first = head.from(block) / KEYS * KEYS, last = head.to(block + rows - 1);
    int64_t columns = up(last - first, KEYS);
    const T *query = head.query + block * a.query_stride;
    const T *out = (const T *)a.out + row * a.out_stride + head.column;
    const T *gradient = (const T *)a.out_gradient + row * a.out_gradient_stride + head.column;
    pack_left<PAIRS>(query, a.query_stride, rows, width, queries);
    pack_left<PAIRS>(gradient, a.out_gradient_stride, rows, width, gradients);
    pack_rows<PAIRS>(query, a.query_stride, rows, width, queries_by_row);
    pack_rows<PAIRS>(gradient, a.out_gradient_stride, rows, width, gradients_by_row);
    score<PAIRS>(head, block, rows, first, last, queries, keys_by_width, scores, stride);
    multiply<PAIRS>({gradients, left, 1, values_by_width + first, stride, changes, stride, rows, columns, deep, false});
    // From here on `scores` holds weights, and `changes` the gradients of scores.
    const float *logs = head.logs() + block;
    for (int64_t i = 0; i < rows; i++) {
      vec dot = zero();
      for (int64_t at = 0; at < width; at += LANES) {
        int64_t n = least(LANES, width - at);
        dot = fma(load(gradient + i * a.out_gradient_stride + at, n), load(out + i * a.out_stride + at, n), dot);
      }
      vec scale = all(a.scale), mean = all(sum(dot)), power = all(a.scale * LOG2_E), shift = all(-logs[i] * LOG2_E);
      float *weights = scores + i * stride, *change = changes + i * stride;
      for (int64_t j = 0; j < columns; j += LANES) {
        vec w = power_of_two<PAIRS>(fma(load(weights + j), power, shift));
        vec c = w * (load(change + j) - mean) * scale;
        store(weights + j, w);
        store(change + j, c);
        if (PAIRS) store((bf16 *)by_query + i * stride + j, c);
      }
    }
    int64_t seen = last - first, pairs = words<PAIRS>(rows), by_row = 1, by_word = stride;
    if constexpr (PAIRS && TILES) {
      by_row = BLOCK / 2, by_word = 1;
      pack_pairs_by_key(scores, stride, rows, columns, weight_pairs);
      pack_pairs_by_key(changes, stride, rows, columns, change_pairs);
    } else if constexpr (PAIRS) {
      pack_pairs(scores, stride, rows, columns, weight_pairs);
      pack_pairs(changes, stride, rows, columns, change_pairs);
    }
    multiply<PAIRS>({weight_pairs, by_row, by_word, gradients_by_row, wide, value_sums + first * wide, wide, seen, wide,
                     pairs, true});
    multiply<PAIRS>({change_pairs, by_row, by_word, queries_by_row, wide, key_sums + first * wide, wide, seen, wide, pairs,
                     true});
    multiply<PAIRS>({by_query, stride / step, 1, keys_by_key + first / step * wide, wide, query_sums, wide, rows, wide,
                     words<PAIRS>(seen), false});
    write((T *)a.query_gradient + row * a.query_gradient_stride + head.column, a.query_gradient_stride, query_sums, rows,
          width);
  }
  T *key_gradient = (T *)a.key_gradient + head.first_key * a.key_gradient_stride + head.column;
  T *value_gradient = (T *)a.value_gradient + head.first_key * a.value_gradient_stride + head.column;
  write(key_gradient, a.key_gradient_stride, key_sums, keys, width);
  write(value_gradient, a.value_gradient_stride, value_sums, keys, width);
}

// Floats of scratch for the longest text among some units; more than is used.
int64_t room(const textclf_attention *a, int64_t begin, int64_t end) {
  int64_t keys = 0;
  for (int64_t text = begin / a->heads; text * a->heads < end; text++)
    keys = most(keys, a->borders[text + 1] - a->borders[text]);
  int64_t stride = up(keys, KEYS) + LANES, wide = up(a->width, KEYS) + LANES;
  return 5 * stride * wide + 5 * BLOCK * stride + 8 * BLOCK * wide + 512;
}

template <bool PAIRS, class T>
void each(const textclf_attention *a, int64_t begin, int64_t end, void (*work)(const Head<T> &, Scratch)) {
  if (begin >= end) return;
  float *memory = allocate(room(a, begin, end));
#if defined(__AMX_BF16__)
  if (PAIRS) configure_tiles();
#endif
  for (int64_t unit = begin; unit < end; unit++) work(Head<T>(*a, unit), Scratch{memory, 0});
#if defined(__AMX_BF16__)
  if (PAIRS) _tile_release();
#endif
  free(memory);
}

#if defined(__AVX512BF16__)
constexpr bool HALVES = true;
#else
constexpr bool HALVES = false;
#endif

}  // namespace

void attention_forward(const textclf_attention *a, int64_t begin, int64_t end) {
  if (a->type == TEXTCLF_BFLOAT16)
    each<HALVES, bf16>(a, begin, end, forward<HALVES, bf16>);
  else
    each<false, float>(a, begin, end, forward<false, float>);
}

void attention_backward(const textclf_attention *a, int64_t begin, int64_t end) {
  if (a->type == TEXTCLF_BFLOAT16)
    each<HALVES, bf16>(a, begin, end, backward<HALVES, bf16>);
  else
    each<false, float>(a, begin, end, backward<false, float>);
}

}  // namespace LEVEL
