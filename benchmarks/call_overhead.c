/* What a call costs: blocking and callback reads of one cached chunk of 4 KB.  ./call_overhead ARRAY READS */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "zarrs_c.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static atomic_int done;

static void on_complete(void *ctx, const zrc_completion *completion) {
  (void)ctx;
  zrc_error_free(completion->error);
  atomic_fetch_add_explicit(&done, 1, memory_order_release);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  zrc_runtime *runtime;
  zrc_store *store;
  zrc_array *array;
  uint64_t start[1] = {0}, shape[1] = {4096};
  static char data[4096];
  int reads = atoi(argv[2]);
  if (zrc_runtime_new(NULL, &runtime, NULL) || zrc_store_open(runtime, argv[1], NULL, &store, NULL)) return 1;
  if (zrc_array_open(store, "", NULL, &array, NULL)) return 1;
  zrc_region region = {array, start, shape, NULL, data, sizeof data, NULL};
  zrc_sink sink = {on_complete, NULL, 0};
  for (int i = 0; i < 1000; i++)
    if (zrc_read(runtime, &region, 1, NULL, NULL)) return 1;
  double t0 = now();
  for (int i = 0; i < reads; i++) zrc_read(runtime, &region, 1, NULL, NULL);
  double t1 = now();
  for (int i = 0; i < reads; i++) { /* one after another, as the blocking ones */
    zrc_read_async(runtime, &region, 1, NULL, &sink, NULL, NULL);
    while (atomic_load_explicit(&done, memory_order_acquire) <= i) {
    }
  }
  double t2 = now();
  printf("%.3f %.3f\n", (t1 - t0) / reads, (t2 - t1) / reads);
  zrc_array_release(array);
  zrc_store_release(store);
  zrc_runtime_shutdown(runtime, 10000);
  zrc_runtime_release(runtime);
  return 0;
}
