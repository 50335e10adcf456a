// AdamW over the numbers of many tensors, and what surrounds its step.
#include "kernels.h"
#include "simd.h"

namespace LEVEL {
namespace {

// How many numbers ahead memory is asked for: the step is bound by memory, and processors look ahead within a page only.
constexpr int64_t AHEAD = 512;

void step(const textclf_adamw_step *s, int64_t t, int64_t begin, int64_t end) {
  float *weights = s->weights[t], *first = s->first[t], *second = s->second[t];
  const float *gradients = s->gradients[t];
  bf16 *halves = s->halves[t];
  const vec scale = all(s->gradient_scale), keep = all((float)(1.0 - s->rate[t] * s->decay[t])),
            rate = all((float)(s->rate[t] / s->first_correction[t])),
            first_part = all((float)(1.0 - s->first_beta)), second_beta = all((float)s->second_beta),
            second_part = all((float)(1.0 - s->second_beta)),
            correction = all((float)(1.0 / __builtin_sqrt(s->second_correction[t]))), eps = all(s->eps);
  columns(end - begin, [&](int64_t c, auto part) {
    const int64_t i = begin + c;
    __builtin_prefetch(weights + i + AHEAD);
    __builtin_prefetch(first + i + AHEAD);
    __builtin_prefetch(second + i + AHEAD);
    __builtin_prefetch(gradients + i + AHEAD);
    vec g = load(gradients + i, part) * scale, m = load(first + i, part);
    m = fma(first_part, g - m, m);
    vec v = second_beta * load(second + i, part) + second_part * g * g;
    vec w = load(weights + i, part) * keep - rate * m * reciprocal<false>(fma(root(v), correction, eps));
    store(first + i, m, part);
    store(second + i, v, part);
    store(weights + i, w, part);
    if (halves) store(halves + i, w, part);
  });
}

}  // namespace

void adamw(const textclf_adamw_step *s, int64_t begin, int64_t end) {
  int64_t start = 0;
  for (int64_t t = 0; t < s->count && start < end; t++) {
    const int64_t stop = start + s->sizes[t];
    if (begin < stop)
      step(s, t, (begin > start ? begin : start) - start, (end < stop ? end : stop) - start);
    start = stop;
  }
}

double sum_of_squares(const float *values, int64_t size) {
  const int64_t block = 4096;
  double total = 0;
  for (int64_t start = 0; start < size; start += block) {
    sums squares;
    columns(size - start < block ? size - start : block, [&](int64_t c, auto part) {
      vec x = load(values + start + c, part);
      squares[part.turn] = fma(x, x, squares[part.turn]);
    });
    total += (double)squares.total();
  }
  return total;
}

void add(int32_t type, float *into, const void *from, int64_t size) {
  columns(size, [&](int64_t c, auto part) {
    vec x = type == TEXTCLF_BFLOAT16 ? load((const bf16 *)from + c, part) : load((const float *)from + c, part);
    store(into + c, load(into + c, part) + x, part);
  });
}

void to_bfloat16(uint16_t *into, const float *from, int64_t size) {
  columns(size, [&](int64_t c, auto part) { store(into + c, load(from + c, part), part); });
}

}  // namespace LEVEL
