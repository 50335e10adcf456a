// GELU by the error function, with the bias in front of it.
#include "kernels.h"
#include "simd.h"

namespace LEVEL {
namespace {

// The normal distribution at x: its density, and the probability beyond the absolute value of x.
struct normal {
  vec density, beyond;
};

// beyond = e ** (-x * x / 2) * t * polynomial(t) with t = 1 / (1 + p * |x|), the form of Abramowitz and Stegun 7.1.26. p and
// the coefficients are a minimax fit: the error of beyond * max(1, |x|) is at most 4e-8.
inline normal normal_at(vec x) {
  vec a = absolute(x), power = exponential(x * x * all(-0.5f)), t = all(1.0f) / fma(a, all(0.26f), all(1.0f));
  vec p = all(-0.07144204349f);
  p = fma(p, t, all(0.22242539f));
  p = fma(p, t, all(-0.09517305762f));
  p = fma(p, t, all(0.1565731668f));
  p = fma(p, t, all(0.07787687359f));
  p = fma(p, t, all(0.1061302817f));
  p = fma(p, t, all(0.103609355f));
  return {power * all(0.39894228f), power * t * p};
}

template <typename E>
void forward(const E *in, const float *bias, E *out, int64_t width, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; row++) {
    const int64_t start = row * width;
    columns(width, [&](int64_t c, auto part) {
      vec x = load(in + start + c, part) + load(bias + c, part);
      store(out + start + c, most(x, zero()) - absolute(x) * normal_at(x).beyond, part);
    });
  }
}

template <typename E>
void backward(const E *in, const float *bias, const E *out_gradient, E *in_gradient, float *bias_gradient, int64_t width,
              int64_t begin, int64_t end) {
  for (int64_t c = 0; c < width; c++) bias_gradient[c] = 0;
  for (int64_t row = begin; row < end; row++) {
    const int64_t start = row * width;
    columns(width, [&](int64_t c, auto part) {
      vec x = load(in + start + c, part) + load(bias + c, part);
      normal n = normal_at(x);
      // The probability below x, less one half, has the sign of x.
      vec below = with_sign(all(0.5f) - n.beyond, x) + all(0.5f);
      vec d = load(out_gradient + start + c, part) * fma(x, n.density, below);
      store(in_gradient + start + c, d, part);
      store(bias_gradient + c, load(bias_gradient + c, part) + d, part);
    });
  }
}

}  // namespace

void gelu_forward(int32_t type, const void *in, const float *bias, void *out, int64_t width, int64_t begin, int64_t end) {
  if (type == TEXTCLF_BFLOAT16)
    forward((const bf16 *)in, bias, (bf16 *)out, width, begin, end);
  else
    forward((const float *)in, bias, (float *)out, width, begin, end);
}

void gelu_backward(int32_t type, const void *in, const float *bias, const void *out_gradient, void *in_gradient,
                   float *bias_gradient, int64_t width, int64_t begin, int64_t end) {
  if (type == TEXTCLF_BFLOAT16)
    backward((const bf16 *)in, bias, (const bf16 *)out_gradient, (bf16 *)in_gradient, bias_gradient, width, begin, end);
  else
    backward((const float *)in, bias, (const float *)out_gradient, (float *)in_gradient, bias_gradient, width, begin,
             end);
}

}  // namespace LEVEL
