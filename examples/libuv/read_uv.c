/* Reads in a libuv loop: every row of a 2-d array of float32 at once, beside a timer that ticks.  ./read_uv URL
 *
 * The loop watches the queue's descriptor; all of this program's code runs on the loop's thread. */
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "zarrs_c.h"

#define CHECK(call)                                                                                  \
  do {                                                                                               \
    zrc_status status_ = (call);                                                                     \
    if (status_) fprintf(stderr, "%s: %s\n", #call, zrc_status_name(status_)), exit(1);              \
  } while (0)

static struct {
  zrc_queue *queue;
  float *data;
  size_t columns, left, ticks;
  double sum;
  uv_poll_t poll;
  uv_timer_t timer;
} app;

static void on_tick(uv_timer_t *timer) { (void)timer, app.ticks++; }

static void on_readable(uv_poll_t *handle, int status, int events) {
  (void)status, (void)events;
  zrc_completion done[64];
  ZRC_INIT(&done[0]);
  for (size_t i = 0, n = zrc_queue_drain(app.queue, done, 64); i < n; i++, app.left--) {
    CHECK(done[i].status);
    for (size_t j = 0; j < app.columns; j++) app.sum += app.data[done[i].tag * app.columns + j];
  }
  if (app.left == 0) { /* nothing else keeps the loop running */
    uv_close((uv_handle_t *)handle, NULL);
    uv_close((uv_handle_t *)&app.timer, NULL);
  }
}

int main(int argc, char **argv) {
  if (argc != 2) return fprintf(stderr, "usage: %s URL\n", argv[0]), 2;
  zrc_runtime *runtime;
  zrc_store *store;
  zrc_array *array;
  intptr_t descriptor;
  uint64_t shape[2];
  CHECK(zrc_runtime_new(NULL, &runtime, NULL));
  CHECK(zrc_store_open(runtime, argv[1], NULL, &store, NULL));
  CHECK(zrc_array_open(store, "", NULL, &array, NULL));
  CHECK(zrc_array_shape(array, shape, 2));
  CHECK(zrc_queue_new(&app.queue, NULL));
  CHECK(zrc_queue_fd(app.queue, &descriptor, NULL));

  app.columns = (size_t)shape[1];
  app.data = malloc(shape[0] * app.columns * sizeof *app.data);
  for (uint64_t row = 0; row < shape[0]; row++, app.left++) {
    uint64_t start[2] = {row, 0}, box[2] = {1, app.columns};
    zrc_region region = {.array = array, .start = start, .shape = box, .data = app.data + row * app.columns,
                         .nbytes = app.columns * sizeof *app.data};
    zrc_sink sink = {zrc_queue_complete, app.queue, row};
    CHECK(zrc_read_async(runtime, &region, 1, NULL, &sink, NULL, NULL));
  }
  uv_loop_t *loop = uv_default_loop();
  uv_timer_init(loop, &app.timer);
  uv_timer_start(&app.timer, on_tick, 0, 1);
  uv_poll_init(loop, &app.poll, (int)descriptor);
  uv_poll_start(&app.poll, UV_READABLE, on_readable);
  uv_run(loop, UV_RUN_DEFAULT);
  uv_loop_close(loop);

  printf("%.1f\n", app.sum);
  free(app.data);
  zrc_queue_release(app.queue);
  zrc_array_release(array);
  zrc_store_release(store);
  zrc_runtime_release(runtime);
  return 0;
}
