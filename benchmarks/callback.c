/* From zrc_read_async to its callback: one read of a cached 4 KB chunk after another. Usage: callback ARRAY */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "zarrs_c.h"

enum { READS = 5000, ROWS = 64, ROW = 4096 };

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

static volatile int done;
static double called;

static void on_complete(void *ctx, const zrc_completion *completion) {
  (void)ctx;
  if (completion->status != ZRC_OK) abort();
  called = seconds();
  __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  static unsigned char row[ROW];
  static double took[READS];
  zrc_runtime *runtime;
  zrc_store *store;
  zrc_array *array;
  zrc_error *error = NULL;
  if (argc != 2 || zrc_runtime_new(NULL, &runtime, &error) || zrc_store_open(runtime, argv[1], NULL, &store, &error) ||
      zrc_array_open(store, "", NULL, &array, &error))
    return 1;
  zrc_sink sink = {.fn = on_complete};
  for (int i = 0; i < READS; i++) {
    uint64_t start[2] = {i % ROWS, 0}, shape[2] = {1, ROW};
    zrc_region region = {.array = array, .start = start, .shape = shape, .data = row, .nbytes = ROW};
    done = 0;
    double begin = seconds();
    if (zrc_read_async(runtime, &region, 1, NULL, &sink, NULL, &error)) return 1;
    while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
    }
    took[i] = called - begin;
  }
  qsort(took, READS, sizeof *took, by_value);
  printf("  C: submission to callback, median %.1f us, 90 %% within %.1f us\n  goal: <= 12 us\n", 1e6 * took[READS / 2],
         1e6 * took[READS * 9 / 10]);
  zrc_array_release(array);
  zrc_store_release(store);
  zrc_runtime_release(runtime);
  return 0;
}
