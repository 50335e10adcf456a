// The kernels of one level: each source is compiled once for each level and defines its functions in `namespace LEVEL`.
#pragma once

#include "textclf_kernels.h"

#define TEXTCLF_DECLARE(level)                                                                                          \
  namespace level {                                                                                                     \
  void attention_forward(const textclf_attention *, int64_t, int64_t);                                                  \
  void attention_backward(const textclf_attention *, int64_t, int64_t);                                                 \
  void norm_forward(const textclf_norm *, int64_t, int64_t);                                                            \
  void norm_backward(const textclf_norm *, int64_t, int64_t);                                                           \
  void gelu_forward(int32_t, const void *, const float *, void *, int64_t, int64_t, int64_t);                           \
  void gelu_backward(int32_t, const void *, const float *, const void *, void *, float *, int64_t, int64_t, int64_t);   \
  void embedding_forward(int32_t, const float *const *, const int64_t *const *, float *, int64_t, int64_t, int64_t);    \
  void embedding_backward(float *, const int64_t *, const float *, int64_t, int64_t, int64_t);                          \
  void adamw(const textclf_adamw_step *, int64_t, int64_t);                                                             \
  double sum_of_squares(const float *, int64_t);                                                                        \
  void add(int32_t, float *, const void *, int64_t);                                                                    \
  void to_bfloat16(uint16_t *, const float *, int64_t);                                                                 \
  }

TEXTCLF_DECLARE(avx2)
TEXTCLF_DECLARE(avx512)
TEXTCLF_DECLARE(avx512_bf16)
TEXTCLF_DECLARE(amx_bf16)
