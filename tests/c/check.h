/* What the C test programs share: checks that say where and why, and openers that cannot fail quietly.
 *
 * Each program takes the folder of arrays that tests/test_c_abi.py writes. In all of them element [i, j] is
 * 1000 * i + j, so that a program knows what it must read. */
#ifndef ZARRS_C_TESTS_CHECK_H
#define ZARRS_C_TESTS_CHECK_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "zarrs_c.h"

#define CHECK(condition) \
  ((condition) ? (void)0 : (fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition), exit(1)))

/* For the thread sanitizer, which does not see into the library, what the header promises: what a thread did before it
 * lent memory to the library is seen by whoever is called with it, and what was done before the end by whoever learns
 * of that. The address only has to be the same on both sides. */
#if defined(__SANITIZE_THREAD__) && !defined(NO_HAND_OVERS)
void __tsan_release(void *address);
void __tsan_acquire(void *address);
#define HAND_OVER(address) __tsan_release((void *)(address))
#define TAKE_OVER(address) __tsan_acquire((void *)(address))
#else
#define HAND_OVER(address) ((void)(address))
#define TAKE_OVER(address) ((void)(address))
#endif

/* The status of a call must be `expected`. */
#define EXPECT(expected, call) expect_status((expected), (call), #call, __FILE__, __LINE__)

static inline void expect_status(zrc_status expected, zrc_status got, const char *call, const char *file, int line) {
  if (got == expected) return;
  fprintf(stderr, "%s:%d: %s gave %s, expected %s\n", file, line, call, zrc_status_name(got),
          zrc_status_name(expected));
  exit(1);
}

/* A call given `&error` must fail with `expected`, and the error must say so and mention `text`. */
#define EXPECT_ERROR(expected, text, call)            \
  do {                                                \
    zrc_error *error = NULL;                          \
    EXPECT((expected), (call));                       \
    expect_error((expected), (text), error, #call);   \
  } while (0)

static inline int contains(zrc_str text, const char *part) {
  size_t n = strlen(part);
  for (size_t i = 0; n <= text.len && i <= text.len - n; i++)
    if (memcmp(text.ptr + i, part, n) == 0) return 1;
  return 0;
}

static inline int equals(zrc_str text, const char *other) {
  return text.len == strlen(other) && memcmp(text.ptr, other, text.len) == 0;
}

/* Frees the error. */
static inline void expect_error(zrc_status status, const char *text, zrc_error *error, const char *call) {
  CHECK(error != NULL);
  zrc_str message = zrc_error_message(error);
  if (zrc_error_status(error) != status || !contains(message, text)) {
    fprintf(stderr, "%s: the error is %s: %.*s\nexpected %s: ...%s...\n", call,
            zrc_status_name(zrc_error_status(error)), (int)message.len, message.ptr, zrc_status_name(status), text);
    exit(1);
  }
  zrc_error_free(error);
}

static inline void stop_on(zrc_error *error) {
  if (error == NULL) return;
  zrc_str message = zrc_error_message(error);
  fprintf(stderr, "unexpected %s: %.*s\n", zrc_status_name(zrc_error_status(error)), (int)message.len, message.ptr);
  exit(1);
}

static inline zrc_runtime *new_runtime(void) {
  zrc_runtime *runtime = NULL;
  zrc_error *error = NULL;
  zrc_runtime_options options;
  ZRC_INIT(&options);
  options.codec_threads = 2;
  zrc_runtime_new(&options, &runtime, &error);
  stop_on(error);
  return runtime;
}

static inline zrc_store *open_store(zrc_runtime *runtime, const char *folder) {
  zrc_store *store = NULL;
  zrc_error *error = NULL;
  zrc_store_open(runtime, folder, NULL, &store, &error);
  stop_on(error);
  return store;
}

static inline zrc_array *open_array(zrc_store *store, const char *path) {
  zrc_array *array = NULL;
  zrc_error *error = NULL;
  zrc_array_open(store, path, NULL, &array, &error);
  stop_on(error);
  return array;
}

/* Of an array that a program makes: chunks of 10 x 7 elements, which are stored as they are. */
#define METADATA(shape, attributes)                                                                          \
  "{\"zarr_format\":3,\"node_type\":\"array\",\"shape\":" shape ",\"data_type\":\"int32\",\"fill_value\":0," \
  "\"chunk_grid\":{\"name\":\"regular\",\"configuration\":{\"chunk_shape\":[10,7]}},"                        \
  "\"chunk_key_encoding\":{\"name\":\"default\"},\"attributes\":" attributes ","                             \
  "\"codecs\":[{\"name\":\"bytes\",\"configuration\":{\"endian\":\"little\"}}]}"

/* A box of a 2-d array of int32 and the memory that it is read into. */
typedef struct box {
  uint64_t start[2], shape[2];
  int32_t *data;
} box;

static inline box new_box(uint64_t row, uint64_t column, uint64_t rows, uint64_t columns) {
  box b = {{row, column}, {rows, columns}, NULL};
  size_t n = (size_t)(rows * columns);
  b.data = (int32_t *)malloc((n ? n : 1) * sizeof(int32_t));
  CHECK(b.data != NULL);
  for (size_t i = 0; i < n; i++) b.data[i] = -1;
  return b;
}

static inline zrc_region region_of(const zrc_array *array, const box *b) {
  zrc_region region;
  memset(&region, 0, sizeof region);
  region.array = array;
  region.start = b->start;
  region.shape = b->shape;
  region.data = b->data;
  region.nbytes = (size_t)(b->shape[0] * b->shape[1]) * sizeof(int32_t);
  return region;
}

/* A box that holds what all test arrays hold. */
static inline box filled_box(uint64_t row, uint64_t column, uint64_t rows, uint64_t columns) {
  box b = new_box(row, column, rows, columns);
  for (uint64_t i = 0; i < rows; i++)
    for (uint64_t j = 0; j < columns; j++) b.data[i * columns + j] = (int32_t)(1000 * (row + i) + column + j);
  return b;
}

/* Compares the box with the formula of all test arrays, and frees its memory. */
static inline void expect_box(box *b) {
  for (uint64_t i = 0; i < b->shape[0]; i++)
    for (uint64_t j = 0; j < b->shape[1]; j++) {
      int32_t expected = (int32_t)(1000 * (b->start[0] + i) + b->start[1] + j);
      int32_t got = b->data[i * b->shape[1] + j];
      if (got == expected) continue;
      fprintf(stderr, "element [%" PRIu64 ", %" PRIu64 "] is %" PRId32 ", expected %" PRId32 "\n", b->start[0] + i,
              b->start[1] + j, got, expected);
      exit(1);
    }
  free(b->data);
  b->data = NULL;
}

#endif /* ZARRS_C_TESTS_CHECK_H */
