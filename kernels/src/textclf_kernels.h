/* The C interface of textclf-kernels: what packed rows of texts cost beside their matrix products.
 *
 * Every function works in the calling thread, allocates no memory of the caller's, calls no Python, and may run in any
 * number of threads at once. Work is divided by the caller: `begin` and `end` bound the part of it that one call does,
 * and parts write to different places. Results are the same bits for the same parts on the same level.
 *
 * Rows are row-major. A `type` says what `void` points to: float (TEXTCLF_FLOAT32) or bfloat16 (TEXTCLF_BFLOAT16).
 * Sums are float, whatever the type. Pointers that may be null say so. No alignment is required.
 */
#ifndef TEXTCLF_KERNELS_H
#define TEXTCLF_KERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define TEXTCLF_API __declspec(dllexport)
#else
#define TEXTCLF_API __attribute__((visibility("default")))
#endif

/* Raised by one whenever a signature below changes. */
#define TEXTCLF_KERNELS_ABI 1

enum { TEXTCLF_FLOAT32 = 0, TEXTCLF_BFLOAT16 = 1 };

/* Instruction sets, each with all that stand before it. */
enum { TEXTCLF_NONE = 0, TEXTCLF_AVX2 = 1, TEXTCLF_AVX512 = 2, TEXTCLF_AVX512_BF16 = 3, TEXTCLF_AMX_BF16 = 4 };

TEXTCLF_API int32_t textclf_abi(void);
/* The highest level that this processor and its operating system can run; TEXTCLF_NONE on others. */
TEXTCLF_API int32_t textclf_best_level(void);
/* Selects a level, at most the best one, for all following calls of the process; returns the level in use. */
TEXTCLF_API int32_t textclf_use_level(int32_t level);
TEXTCLF_API int32_t textclf_level(void);

/* ---- Attention within texts -------------------------------------------------------------------------------------- */

/* One attention over texts that stand one behind the other. Query row i of text t is `query_borders[t] + i`, its key
 * rows are `borders[t]` to `borders[t + 1]`. The two borders are the same array where every token asks; where only first
 * tokens ask, query_borders is 0, 1, 2, ... Head h of a row begins at element h * width.
 *
 * *_stride: elements from one row to the next. reach: keys to either side that a query sees, -1: all. causal: it sees
 * none to its right. logs: float[heads, queries], the logarithm of each query's sum of exponentials.
 */
typedef struct {
  int32_t type;
  int32_t causal;
  int64_t heads, width, texts, queries;
  int64_t reach;
  float scale;
  const int64_t *borders, *query_borders;
  const void *query, *key, *value;
  int64_t query_stride, key_stride, value_stride;
  void *out; /* [queries, heads * width] of the type */
  int64_t out_stride;
  float *logs; /* may be null in the forward pass */
  /* Of the backward pass only. The three gradients are written, not added to. */
  const void *out_gradient;
  int64_t out_gradient_stride;
  void *query_gradient, *key_gradient, *value_gradient;
  int64_t query_gradient_stride, key_gradient_stride, value_gradient_stride;
} textclf_attention;

/* begin, end: of text * heads + head, so of 0 to texts * heads. */
TEXTCLF_API void textclf_attention_forward(const textclf_attention *a, int64_t begin, int64_t end);
TEXTCLF_API void textclf_attention_backward(const textclf_attention *a, int64_t begin, int64_t end);

/* ---- Dropout, residual and LayerNorm ----------------------------------------------------------------------------- */

/* sum = residual + dropout(in + bias); out = (sum - mean) / sqrt(variance + eps) * weight + shift.
 *
 * in: [rows, width] of the type; may be null, and then sum = residual. bias may be null. residual: float. Two forms of
 * the output, float and bfloat16; either may be null. mean, inverse (of the deviation): float[rows].
 *
 * Dropout keeps an element where its 16 random bits are at least `dropped`, and multiplies it by 65536 / (65536 -
 * dropped). The bits are a function of `key` and the element's index alone (`random_bits` in random.h), so the backward
 * pass draws them again. after: dropout comes behind the norm instead, as in BERT's embeddings.
 */
typedef struct {
  int32_t type, after;
  int64_t rows, width;
  const void *in;
  const float *bias, *residual, *weight, *shift;
  float eps;
  uint32_t dropped;
  uint64_t key;
  float *out;
  uint16_t *out_half;
  float *mean, *inverse;
  /* Of the backward pass only. Gradients of the output, either may be null; they are added up. */
  const float *out_gradient;
  const void *out_gradient_half; /* of the type */
  void *in_gradient;             /* of the type; null where in is */
  float *residual_gradient;
  /* Sums over the rows begin to end: float[width] each, written, not added to; bias_gradient may be null. */
  float *bias_gradient, *weight_gradient, *shift_gradient;
} textclf_norm;

/* begin, end: of the rows. */
TEXTCLF_API void textclf_norm_forward(const textclf_norm *n, int64_t begin, int64_t end);
TEXTCLF_API void textclf_norm_backward(const textclf_norm *n, int64_t begin, int64_t end);

/* ---- Activation -------------------------------------------------------------------------------------------------- */

/* out = gelu(in + bias), the exact one (by the error function). All are [rows, width] of the type; bias: float. */
TEXTCLF_API void textclf_gelu_forward(int32_t type, const void *in, const float *bias, void *out, int64_t width,
                                      int64_t begin, int64_t end);
/* in_gradient may be out_gradient itself. bias_gradient: float[width], the sum over the rows begin to end, written. */
TEXTCLF_API void textclf_gelu_backward(int32_t type, const void *in, const float *bias, const void *out_gradient,
                                       void *in_gradient, float *bias_gradient, int64_t width, int64_t begin,
                                       int64_t end);

/* ---- Embeddings -------------------------------------------------------------------------------------------------- */

/* out[i] = sum over the tables of table[ids[i]]: float[rows, width]. tables and ids: arrays of `count` pointers. */
TEXTCLF_API void textclf_embedding_forward(int32_t count, const float *const *tables, const int64_t *const *ids,
                                           float *out, int64_t width, int64_t begin, int64_t end);
/* table[ids[i]] += gradient[i] in the order of the rows, but for rows of the id `padding` (-1: none). */
TEXTCLF_API void textclf_embedding_backward(float *table, const int64_t *ids, const float *gradient, int64_t padding,
                                            int64_t width, int64_t rows);

/* ---- Optimiser --------------------------------------------------------------------------------------------------- */

/* Some tensors, seen as one row of numbers: tensor t holds sizes[t] of them. */
typedef struct {
  int64_t count;
  const int64_t *sizes;
  float *const *weights, *const *first, *const *second; /* the weights and both averages */
  const float *const *gradients;
  uint16_t *const *halves; /* where each tensor's weights are written as bfloat16 as well; entries may be null */
  /* For each tensor. correction: 1 - beta ** step. */
  const float *rate, *decay, *first_correction, *second_correction;
  double first_beta, second_beta; /* 1 - 0.999f is 1e-5 off */
  float eps, gradient_scale; /* gradients are multiplied by it as they are read: clipping */
} textclf_adamw_step;

/* One step of AdamW as torch.optim.AdamW takes it. begin, end: of the sum of the sizes. */
TEXTCLF_API void textclf_adamw(const textclf_adamw_step *s, int64_t begin, int64_t end);

/* The sum of squares of `size` floats, added up in double. */
TEXTCLF_API double textclf_sum_of_squares(const float *values, int64_t size);
/* into[i] += from[i]; from: of the type. */
TEXTCLF_API void textclf_add(int32_t type, float *into, const void *from, int64_t size);
/* into[i] = from[i], rounded to the nearest bfloat16, ties to even. Numbers below 2 ** -126 may become 0, here and
 * wherever bfloat16 is written: the processor's own instruction does that. */
TEXTCLF_API void textclf_to_bfloat16(uint16_t *into, const float *from, int64_t size);

#ifdef __cplusplus
}
#endif
#endif
