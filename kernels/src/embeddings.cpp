// Sums of embeddings.
#include "kernels.h"
#include "simd.h"

namespace LEVEL {

void embedding_forward(int32_t count, const float *const *tables, const int64_t *const *ids, float *out, int64_t width,
                       int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; row++)
    for (int32_t t = 0; t < count; t++) {
      const float *from = tables[t] + ids[t][row] * width;
      // Rows of a table lie anywhere, so the next one is asked for while one is read.
      const float *next = row + 1 < end ? tables[t] + ids[t][row + 1] * width : from;
      float *into = out + row * width;
      columns(width, [&](int64_t c, auto part) {
        __builtin_prefetch(next + c);
        vec x = load(from + c, part);
        store(into + c, t ? load(into + c, part) + x : x, part);
      });
    }
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
