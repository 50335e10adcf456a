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

constexpr int64_t BLOCK = 48;  // queries at once: their scores of 512 keys take 96 kB
#if defined(__AVX512F__)
constexpr int ROWS = 12, VECTORS = 2;  // of a product in registers
#else
constexpr int ROWS = 6, VECTORS = 2;
#endif
const float NEVER = -INFINITY;

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

// ---- Matrices of words ---------------------------------------------------------------------------------------------

// The right side of a product over the width: [words of the width, up(rows)], from rows of numbers.
template <bool PAIRS, class T>
void pack_transposed(const T *from, int64_t stride, int64_t rows, int64_t width, float *into) {
  int64_t columns = up(rows, LANES), deep = words<PAIRS>(width);
  for (int64_t first = 0; first < rows; first += LANES)
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
  bool adds;
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

template <bool PAIRS>
void multiply(const Product &p) {
  int64_t column = 0;
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
  int64_t deep = words<PAIRS>(head.a.width), columns = up(last - first, LANES);
  multiply<PAIRS>({queries, up(deep, LANES), 1, keys + first, up(head.keys, LANES), scores, stride, rows, columns, deep,
                   false});
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
  int64_t stride = up(keys, LANES), wide = up(width, LANES), step = PAIRS ? 2 : 1;
  float *by_width = scratch.take(deep * stride), *by_key = scratch.take(words<PAIRS>(keys) * wide);
  float *queries = scratch.take(BLOCK * up(deep, LANES)), *scores = scratch.take(BLOCK * stride);
  float *weights = PAIRS ? scratch.take(BLOCK * stride / 2) : scores, *found = scratch.take(BLOCK * wide);
  pack_transposed<PAIRS>(head.key, a.key_stride, keys, width, by_width);
  pack_rows<PAIRS>(head.value, a.value_stride, keys, width, by_key);
  for (int64_t block = 0; block < head.queries; block += BLOCK) {
    int64_t rows = least(BLOCK, head.queries - block);
    // Whole vectors of keys, from one that begins a vector on.
    int64_t first = head.from(block) / LANES * LANES, last = head.to(block + rows - 1);
    int64_t columns = up(last - first, LANES);
    pack_left<PAIRS>(head.query + block * a.query_stride, a.query_stride, rows, width, queries);
    score<PAIRS>(head, block, rows, first, last, queries, by_width, scores, stride);
    float sums[BLOCK];
    for (int64_t i = 0; i < rows; i++) {
      float *row = scores + i * stride;
      vec highest = all(NEVER);
      for (int64_t j = 0; j < columns; j += LANES) highest = most(highest, load(row + j));
      float top = a.scale < 0 ? 0.0f : most(highest) * a.scale;
      vec total = zero(), scale = all(a.scale), shift = all(-top);
      for (int64_t j = 0; j < columns; j += LANES) {
        vec e = exponential(fma(load(row + j), scale, shift));
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
  int64_t stride = up(keys, LANES), wide = up(width, LANES), step = PAIRS ? 2 : 1, left = up(deep, LANES);
  float *keys_by_width = scratch.take(deep * stride), *values_by_width = scratch.take(deep * stride);
  float *keys_by_key = scratch.take(words<PAIRS>(keys) * wide);
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
    int64_t first = head.from(block) / LANES * LANES, last = head.to(block + rows - 1);
    int64_t columns = up(last - first, LANES);
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
      vec scale = all(a.scale), shift = all(-logs[i]), mean = all(sum(dot));
      float *weights = scores + i * stride, *change = changes + i * stride;
      for (int64_t j = 0; j < columns; j += LANES) {
        vec w = exponential(fma(load(weights + j), scale, shift));
        vec c = w * (load(change + j) - mean) * scale;
        store(weights + j, w);
        store(change + j, c);
        if (PAIRS) store((bf16 *)by_query + i * stride + j, c);
      }
    }
    if (PAIRS)
      for (int64_t i = 0; i < rows; i += 2)
        for (int64_t j = 0; j < columns; j += LANES) {
          bool whole = i + 1 < rows;
          const float *w = scores + i * stride + j, *c = changes + i * stride + j;
          store(weight_pairs + i / 2 * stride + j, paired<T>(load(w), whole ? load(w + stride) : zero()));
          store(change_pairs + i / 2 * stride + j, paired<T>(load(c), whole ? load(c + stride) : zero()));
        }
    int64_t seen = last - first, pairs = words<PAIRS>(rows);
    multiply<PAIRS>({weight_pairs, 1, stride, gradients_by_row, wide, value_sums + first * wide, wide, seen, wide, pairs,
                     true});
    multiply<PAIRS>({change_pairs, 1, stride, queries_by_row, wide, key_sums + first * wide, wide, seen, wide, pairs,
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
  int64_t stride = up(keys, LANES) + LANES, wide = up(a->width, LANES) + LANES;
  return 5 * stride * wide + 5 * BLOCK * stride + 8 * BLOCK * wide + 512;
}

template <bool PAIRS, class T>
void each(const textclf_attention *a, int64_t begin, int64_t end, void (*work)(const Head<T> &, Scratch)) {
  if (begin >= end) return;
  float *memory = allocate(room(a, begin, end));
  for (int64_t unit = begin; unit < end; unit++) work(Head<T>(*a, unit), Scratch{memory, 0});
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
