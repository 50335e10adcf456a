// The C interface: the level in use, and each function at that level.
#include <atomic>

#include "kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace {

// Linux saves the registers of AMX for a process only after it has asked for them.
bool may_use_tiles() {
#if defined(__linux__) && defined(__x86_64__)
  constexpr long ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18;
  return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
  return false;
#endif
}

// What textclf-kernels needs of a processor, and of an operating system that saves its registers.
int32_t best_level() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return TEXTCLF_NONE;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl") ||
      !__builtin_cpu_supports("avx512dq"))
    return TEXTCLF_AVX2;
  // Not every compiler knows these names: leaf 7, AVX512_BF16 in bit 5 of EAX of subleaf 1, and in EDX of subleaf 0
  // AMX-BF16 in bit 22 and AMX-TILE in bit 24.
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a >> 5 & 1)) return TEXTCLF_AVX512;
  bool tiles = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1) && (d >> 24 & 1);
  return tiles && may_use_tiles() ? TEXTCLF_AMX_BF16 : TEXTCLF_AVX512_BF16;
#else
  return TEXTCLF_NONE;
#endif
}

std::atomic<int32_t> level_in_use{-1};

int32_t level() {
  int32_t now = level_in_use.load(std::memory_order_relaxed);
  if (now < 0) level_in_use.store(now = best_level(), std::memory_order_relaxed);
  return now;
}

}  // namespace

// A call without a level does nothing: the Python package refuses to load on such a processor.
#define TEXTCLF_CALL(function, ...)                                     \
  switch (level()) {                                                    \
    case TEXTCLF_AMX_BF16: return amx_bf16::function(__VA_ARGS__);       \
    case TEXTCLF_AVX512_BF16: return avx512_bf16::function(__VA_ARGS__); \
    case TEXTCLF_AVX512: return avx512::function(__VA_ARGS__);          \
    case TEXTCLF_AVX2: return avx2::function(__VA_ARGS__);              \
  }

extern "C" {

int32_t textclf_abi(void) { return TEXTCLF_KERNELS_ABI; }
int32_t textclf_best_level(void) { return best_level(); }
int32_t textclf_level(void) { return level(); }
int32_t textclf_use_level(int32_t wanted) {
  int32_t best = best_level();
  level_in_use.store(wanted < best ? wanted : best, std::memory_order_relaxed);
  return level();
}

void textclf_attention_forward(const textclf_attention *a, int64_t begin, int64_t end) {
  TEXTCLF_CALL(attention_forward, a, begin, end)
}
void textclf_attention_backward(const textclf_attention *a, int64_t begin, int64_t end) {
  TEXTCLF_CALL(attention_backward, a, begin, end)
}
void textclf_norm_forward(const textclf_norm *n, int64_t begin, int64_t end) {
  TEXTCLF_CALL(norm_forward, n, begin, end)
}
void textclf_norm_backward(const textclf_norm *n, int64_t begin, int64_t end) {
  TEXTCLF_CALL(norm_backward, n, begin, end)
}
void textclf_gelu_forward(int32_t type, const void *in, const float *bias, void *out, int64_t width, int64_t begin,
                          int64_t end) {
  TEXTCLF_CALL(gelu_forward, type, in, bias, out, width, begin, end)
}
void textclf_gelu_backward(int32_t type, const void *in, const float *bias, const void *out_gradient, void *in_gradient,
                           float *bias_gradient, int64_t width, int64_t begin, int64_t end) {
  TEXTCLF_CALL(gelu_backward, type, in, bias, out_gradient, in_gradient, bias_gradient, width, begin, end)
}
void textclf_embedding_forward(int32_t count, const float *const *tables, const int64_t *const *ids, float *out,
                               int64_t width, int64_t begin, int64_t end) {
  TEXTCLF_CALL(embedding_forward, count, tables, ids, out, width, begin, end)
}
void textclf_embedding_backward(float *table, const int64_t *ids, const float *gradient, int64_t padding, int64_t width,
                                int64_t rows) {
  TEXTCLF_CALL(embedding_backward, table, ids, gradient, padding, width, rows)
}
void textclf_adamw(const textclf_adamw_step *s, int64_t begin, int64_t end) { TEXTCLF_CALL(adamw, s, begin, end) }
double textclf_sum_of_squares(const float *values, int64_t size) {
  TEXTCLF_CALL(sum_of_squares, values, size)
  return 0.0;
}
void textclf_add(int32_t type, float *into, const void *from, int64_t size) { TEXTCLF_CALL(add, type, into, from, size) }
void textclf_to_bfloat16(uint16_t *into, const float *from, int64_t size) { TEXTCLF_CALL(to_bfloat16, into, from, size) }

}  // extern "C"
