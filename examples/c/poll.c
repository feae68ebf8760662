/* Reads in a program with a loop of its own: every row of a 2-d array of float32 at once, from poll(2).  ./poll URL
 *
 * No thread of the library runs code of this program. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "zarrs_c.h"

#define CHECK(call)                                                                                     \
  do {                                                                                                  \
    zrc_status status_ = (call);                                                                        \
    if (status_) return fprintf(stderr, "%s: %s\n", #call, zrc_status_name(status_)), 1;                \
  } while (0)

static size_t left; /* operations under way */
static double sum;

/* Called by the loop when the descriptor is readable. */
static int on_completions(zrc_queue *queue, float *data, size_t columns) {
  zrc_completion done[16];
  ZRC_INIT(&done[0]);
  for (size_t i = 0, n = zrc_queue_drain(queue, done, 16); i < n; i++, left--) {
    zrc_error_free(done[i].error);
    CHECK(done[i].status);
    for (size_t j = 0; j < columns; j++) sum += data[done[i].tag * columns + j];
  }
  return 0;
}

int main(int argc, char **argv) {
  zrc_runtime *runtime;
  zrc_store *store;
  zrc_array *array;
  zrc_queue *queue;
  intptr_t descriptor;
  uint64_t shape[2];
  if (argc != 2) return fprintf(stderr, "usage: %s URL\n", argv[0]), 2;
  CHECK(zrc_runtime_new(NULL, &runtime, NULL));
  CHECK(zrc_store_open(runtime, argv[1], NULL, &store, NULL));
  CHECK(zrc_array_open(store, "", NULL, &array, NULL));
  CHECK(zrc_array_shape(array, shape, 2));
  CHECK(zrc_queue_new(&queue, NULL));
  CHECK(zrc_queue_fd(queue, &descriptor, NULL));

  size_t columns = (size_t)shape[1];
  float *data = malloc(shape[0] * columns * sizeof *data);
  for (uint64_t row = 0; row < shape[0]; row++, left++) {
    uint64_t start[2] = {row, 0}, box[2] = {1, columns};
    zrc_region region = {.array = array, .start = start, .shape = box, .data = data + row * columns,
                         .nbytes = columns * sizeof *data};
    zrc_sink sink = {zrc_queue_complete, queue, row};
    CHECK(zrc_read_async(runtime, &region, 1, NULL, &sink, NULL, NULL));
  }
  while (left) { /* the program's loop, which may watch other descriptors as well */
    struct pollfd watched = {.fd = (int)descriptor, .events = POLLIN};
    poll(&watched, 1, -1);
    if (on_completions(queue, data, columns)) return 1;
  }
  printf("%.1f\n", sum);
  zrc_queue_release(queue);
  zrc_array_release(array);
  zrc_store_release(store);
  zrc_runtime_release(runtime);
  free(data);
  return 0;
}
