/* How much a read holds the thread that asked for it, from C: how long the submitting call takes, and how late a ticker
 * of 1 ms on that thread is until the completion is there; beside the same ticker with nothing running.
 *
 *     cc -O2 -Iinclude benchmarks/caller_thread.c -Lzarrs_c/lib -lzarrs_c -Wl,-rpath,$PWD/zarrs_c/lib -o caller_thread
 *     ./caller_thread .cache/benchmarks/planes-1024-1024-128     # of benchmarks/loop_latency.py, which runs this */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "zarrs_c.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Tick until the operation is final, or for a second without one; print how late the ticks were, in ms. */
static void tick(const char *beside, zrc_op *op, double submitted) {
  double start = now(), late = 0, latest = 0;
  int ticks = 0;
  while (op ? zrc_op_wait(op, 0, NULL) == ZRC_E_TIMEOUT : now() - start < 1) {
    double due = now() + 1e-3;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    double by = now() - due;
    late += by;
    latest = by > latest ? by : latest;
    ticks++;
  }
  printf("  %-12s %8.2f %7d %7.2f %7s %7.2f   submitted in %.3f ms\n", beside, now() - start, ticks,
         ticks ? late / ticks * 1e3 : 0, "", latest * 1e3, submitted * 1e3);
}

#define CHECK(call)                                                                    \
  do {                                                                                 \
    zrc_status status_ = (call);                                                       \
    if (status_) return fprintf(stderr, "%s: %s\n", #call, zrc_status_name(status_)), 1; \
  } while (0)

int main(int argc, char **argv) {
  if (argc != 2) return fprintf(stderr, "usage: %s ARRAY\n", argv[0]), 2;
  zrc_runtime *runtime;
  zrc_store *store;
  zrc_array *array;
  CHECK(zrc_runtime_new(NULL, &runtime, NULL));
  CHECK(zrc_store_open(runtime, argv[1], NULL, &store, NULL));
  CHECK(zrc_array_open(store, "", NULL, &array, NULL));
  uint64_t start[3] = {0}, shape[3];
  zrc_dtype dtype;
  ZRC_INIT(&dtype);
  CHECK(zrc_array_shape(array, shape, 3));
  CHECK(zrc_array_dtype(array, &dtype));
  size_t nbytes = (size_t)(shape[0] * shape[1] * shape[2]) * dtype.itemsize;
  void *data = malloc(nbytes);
  if (!data) return fprintf(stderr, "no %zu bytes\n", nbytes), 1;
  memset(data, 1, nbytes);
  zrc_region region = {.array = array, .start = start, .shape = shape, .data = data, .nbytes = nbytes};
  CHECK(zrc_read(runtime, &region, 1, NULL, NULL)); /* warms up */

  tick("nothing (C)", NULL, 0);
  zrc_op *op;
  double before = now();
  CHECK(zrc_read_async(runtime, &region, 1, NULL, NULL, &op, NULL));
  tick("zarrs_c (C)", op, now() - before);
  CHECK(zrc_op_wait(op, UINT32_MAX, NULL));

  zrc_op_release(op);
  zrc_array_release(array);
  zrc_store_release(store);
  zrc_runtime_release(runtime);
  free(data);
  return 0;
}
