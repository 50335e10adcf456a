// Sums of embeddings.
#include "kernels.h"
#include "simd.h"

namespace LEVEL {

void embedding_forward(int32_t count, const float *const *tables, const int64_t *const *ids, float *out, int64_t width,
                       int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; row++)
    columns(width, [&](int64_t c, auto part) {
      vec total = zero();
      for (int32_t t = 0; t < count; t++) total = total + load(tables[t] + ids[t][row] * width + c, part);
      store(out + row * width + c, total, part);
    });
}

void embedding_backward(float *table, const int64_t *ids, const float *gradient, int64_t padding, int64_t width,
                        int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    if (ids[row] == padding) continue;
    float *into = table + ids[row] * width;
    columns(width, [&](int64_t c, auto part) {
      store(into + c, load(into + c, part) + load(gradient + row * width + c, part), part);
    });
  }
}

}  // namespace LEVEL
