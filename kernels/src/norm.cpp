// Dropout, residual and LayerNorm.
#include "kernels.h"
#include "random.h"

namespace LEVEL {
namespace {

// One row's sum of residual and dropout(in + bias), vector by vector.
template <typename E>
struct summands {
  const float *residual, *bias;
  const E *in;
  const uint16_t *bits;  // null without dropout in front of the norm
  const dropout &drop;

  template <typename N>
  vec operator()(int64_t c, N n) const {
    vec sum = load(residual + c, n);
    if (!in) return sum;
    vec x = load(in + c, n);
    if (bias) x = x + load(bias + c, n);
    if (bits) x = drop(x, bits + c);
    return sum + x;
  }
};

template <typename E>
void forward(const textclf_norm *n, int64_t begin, int64_t end) {
  const int64_t width = n->width;
  float *sums = (float *)__builtin_alloca((size_t)width * sizeof(float));
  uint16_t *room = (uint16_t *)__builtin_alloca((size_t)random_room(width) * sizeof(uint16_t));
  const dropout drop(n->dropped);
  for (int64_t row = begin; row < end; row++) {
    const int64_t start = row * width;
    const uint16_t *bits = n->dropped ? random_bits(n->key, start, width, room) : nullptr;
    const summands<E> at{n->residual + start, n->bias, n->in ? (const E *)n->in + start : nullptr,
                         n->after ? nullptr : bits, drop};
    vec total = zero(), squares = zero();
    columns(width, [&](int64_t c, auto part) {
      vec s = at(c, part);
      store(sums + c, s, part);
      total = total + s;
    });
    const float mean = sum(total) / (float)width;
    columns(width, [&](int64_t c, auto part) {
      vec d = within(load(sums + c, part) - all(mean), part);
      squares = fma(d, d, squares);
    });
    const float inverse = 1.0f / __builtin_sqrtf(sum(squares) / (float)width + n->eps);
    n->mean[row] = mean;
    n->inverse[row] = inverse;
    float *out = n->out ? n->out + start : nullptr;
    bf16 *half = n->out_half ? n->out_half + start : nullptr;
    const uint16_t *after = n->after ? bits : nullptr;
    columns(width, [&](int64_t c, auto part) {
      vec y = (load(sums + c, part) - all(mean)) * all(inverse);
      y = fma(y, load(n->weight + c, part), load(n->shift + c, part));
      if (after) y = drop(y, after + c);
      if (out) store(out + c, y, part);
      if (half) store(half + c, y, part);
    });
  }
}

template <typename E>
void backward(const textclf_norm *n, int64_t begin, int64_t end) {
  const int64_t width = n->width;
  float *normals = (float *)__builtin_alloca((size_t)width * sizeof(float));
  float *scaled = (float *)__builtin_alloca((size_t)width * sizeof(float));
  uint16_t *room = (uint16_t *)__builtin_alloca((size_t)random_room(width) * sizeof(uint16_t));
  const dropout drop(n->dropped);
  for (int64_t c = 0; c < width; c++) {
    n->weight_gradient[c] = n->shift_gradient[c] = 0;
    if (n->bias_gradient) n->bias_gradient[c] = 0;
  }
  for (int64_t row = begin; row < end; row++) {
    const int64_t start = row * width;
    const uint16_t *bits = n->dropped ? random_bits(n->key, start, width, room) : nullptr;
    const uint16_t *before = n->after ? nullptr : bits, *after = n->after ? bits : nullptr;
    const summands<E> at{n->residual + start, n->bias, n->in ? (const E *)n->in + start : nullptr, before, drop};
    const float *gradient = n->out_gradient ? n->out_gradient + start : nullptr;
    const E *half = n->out_gradient_half ? (const E *)n->out_gradient_half + start : nullptr;
    const vec mean = all(n->mean[row]), inverse = all(n->inverse[row]);
    vec total = zero(), product = zero();
    columns(width, [&](int64_t c, auto part) {
      vec dy = gradient ? load(gradient + c, part) : zero();
      if (half) dy = dy + load(half + c, part);
      if (after) dy = drop(dy, after + c);
      vec x = (at(c, part) - mean) * inverse, g = dy * load(n->weight + c, part);
      store(normals + c, x, part);
      store(scaled + c, g, part);
      store(n->weight_gradient + c, fma(dy, x, load(n->weight_gradient + c, part)), part);
      store(n->shift_gradient + c, dy + load(n->shift_gradient + c, part), part);
      total = total + g;
      product = fma(g, within(x, part), product);
    });
    const vec shift = all(sum(total) / (float)width), slope = all(sum(product) / (float)width);
    E *in_gradient = n->in ? (E *)n->in_gradient + start : nullptr;
    columns(width, [&](int64_t c, auto part) {
      vec d = (load(scaled + c, part) - shift - load(normals + c, part) * slope) * inverse;
      store(n->residual_gradient + start + c, d, part);
      if (!in_gradient) return;
      if (before) d = drop(d, before + c);
      store(in_gradient + c, d, part);
      if (n->bias_gradient) store(n->bias_gradient + c, d + load(n->bias_gradient + c, part), part);
    });
  }
}

}  // namespace

void norm_forward(const textclf_norm *n, int64_t begin, int64_t end) {
  n->type == TEXTCLF_BFLOAT16 ? forward<bf16>(n, begin, end) : forward<float>(n, begin, end);
}
void norm_backward(const textclf_norm *n, int64_t begin, int64_t end) {
  n->type == TEXTCLF_BFLOAT16 ? backward<bf16>(n, begin, end) : backward<float>(n, begin, end);
}

}  // namespace LEVEL
