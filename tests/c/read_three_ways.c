/* Opens arrays that others wrote, looks at them, and reads them blocking, by callback, and by a queue and poll. */
#include <poll.h>
#include <pthread.h>

#include "check.h"

enum { ROWS = 95, COLUMNS = 63 }; /* of `plain` */

/* ---- blocking ---- */

static void read_blocking(zrc_runtime *runtime, const zrc_array *array, uint64_t rows, uint64_t columns) {
  box whole = new_box(0, 0, rows, columns);
  zrc_region region = region_of(array, &whole);
  zrc_error *error = NULL;
  zrc_read(runtime, &region, 1, NULL, &error);
  stop_on(error);
  expect_box(&whole);
}

/* Every other row backwards, into memory in Fortran order. */
static void read_strided(zrc_runtime *runtime, const zrc_array *array) {
  uint64_t start[2] = {90, 3}, shape[2] = {40, 20};
  int64_t step[2] = {-2, 1}, strides[2] = {sizeof(int32_t), 40 * sizeof(int32_t)};
  static int32_t data[20][40];
  zrc_region region = {array, start, shape, step, data, sizeof data, strides};
  EXPECT(ZRC_OK, zrc_read(runtime, &region, 1, NULL, NULL));
  for (int i = 0; i < 40; i++)
    for (int j = 0; j < 20; j++) CHECK(data[j][i] == 1000 * (90 - 2 * i) + 3 + j);
}

/* ---- by callback ---- */

typedef struct waiter {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  int calls;
  zrc_completion last;
} waiter;

static void on_complete(void *ctx, const zrc_completion *completion) {
  waiter *w = (waiter *)ctx;
  TAKE_OVER(w);
  pthread_mutex_lock(&w->lock);
  w->calls++;
  w->last = *completion;
  pthread_cond_signal(&w->changed);
  pthread_mutex_unlock(&w->lock);
}

static zrc_completion wait_for_call(waiter *w) {
  pthread_mutex_lock(&w->lock);
  while (w->calls == 0) pthread_cond_wait(&w->changed, &w->lock);
  CHECK(w->calls == 1);
  w->calls = 0;
  zrc_completion completion = w->last;
  pthread_mutex_unlock(&w->lock);
  CHECK(completion.struct_size == sizeof completion);
  CHECK(completion.flags & ZRC_COMPLETION_FINAL);
  CHECK((completion.status == ZRC_OK) == (completion.error == NULL));
  return completion;
}

static void read_by_callback(zrc_runtime *runtime, zrc_store *store, const zrc_array *array) {
  waiter w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, {0}};
  zrc_sink sink = {on_complete, &w, 42};
  HAND_OVER(&w);

  box whole = new_box(0, 0, ROWS, COLUMNS);
  zrc_region region = region_of(array, &whole);
  EXPECT(ZRC_OK, zrc_read_async(runtime, &region, 1, NULL, &sink, NULL, NULL));
  zrc_completion completion = wait_for_call(&w);
  CHECK(completion.tag == 42 && completion.status == ZRC_OK && completion.result == NULL);
  CHECK(completion.bytes == region.nbytes);
  expect_box(&whole);

  EXPECT(ZRC_OK, zrc_array_open_async(store, "sharded", NULL, &sink, NULL, NULL));
  completion = wait_for_call(&w);
  CHECK(completion.status == ZRC_OK && (completion.flags & ZRC_COMPLETION_ARRAY));
  zrc_array *opened = (zrc_array *)completion.result;
  CHECK(equals(zrc_array_path(opened), "sharded"));
  zrc_array_release(opened);

  EXPECT(ZRC_OK, zrc_array_open_async(store, "nowhere", NULL, &sink, NULL, NULL));
  completion = wait_for_call(&w);
  CHECK(completion.status == ZRC_E_NOT_FOUND && completion.result == NULL);
  expect_error(ZRC_E_NOT_FOUND, "nowhere", completion.error, "zrc_array_open_async");

  uint64_t index[2] = {1, 2};
  EXPECT(ZRC_OK, zrc_read_encoded_chunk_async(array, index, 0, &sink, NULL, NULL));
  completion = wait_for_call(&w);
  CHECK(completion.status == ZRC_OK && (completion.flags & ZRC_COMPLETION_BUF));
  zrc_buf *encoded = (zrc_buf *)completion.result;
  zrc_buf *same = NULL;
  EXPECT(ZRC_OK, zrc_read_encoded_chunk(array, index, 0, &same, NULL));
  CHECK(zrc_buf_len(encoded) > 0 && zrc_buf_len(encoded) == zrc_buf_len(same));
  CHECK(memcmp(zrc_buf_data(encoded), zrc_buf_data(same), zrc_buf_len(same)) == 0);
  zrc_buf_free(encoded);
  zrc_buf_free(same);
}

/* ---- by queue and poll ---- */

static int is_readable(intptr_t fd, int timeout) {
  struct pollfd p = {(int)fd, POLLIN, 0};
  return poll(&p, 1, timeout) == 1;
}

static void read_by_queue(zrc_runtime *runtime, const zrc_array *array) {
  enum { BANDS = 19, BAND = 5 };
  zrc_queue *queue = NULL;
  intptr_t fd = -1, again = -1;
  EXPECT(ZRC_OK, zrc_queue_new(&queue, NULL));
  EXPECT(ZRC_OK, zrc_queue_fd(queue, &fd, NULL));
  EXPECT(ZRC_OK, zrc_queue_fd(queue, &again, NULL));
  CHECK(fd == again && !is_readable(fd, 0));

  box bands[BANDS];
  for (uint64_t i = 0; i < BANDS; i++) {
    bands[i] = new_box(i * BAND, 0, BAND, COLUMNS);
    zrc_region region = region_of(array, &bands[i]);
    zrc_sink sink = {zrc_queue_complete, queue, i};
    EXPECT(ZRC_OK, zrc_read_async(runtime, &region, 1, NULL, &sink, NULL, NULL));
  }
  for (int left = BANDS; left > 0;) {
    CHECK(is_readable(fd, -1));
    zrc_completion some[4];
    some[0].struct_size = sizeof some[0];
    size_t n = zrc_queue_drain(queue, some, 4);
    CHECK(n > 0 && n <= 4);
    for (size_t i = 0; i < n; i++) {
      CHECK(some[i].struct_size == sizeof some[i] && some[i].status == ZRC_OK && some[i].error == NULL);
      CHECK(some[i].tag < BANDS && bands[some[i].tag].data != NULL);
      expect_box(&bands[some[i].tag]);
      left--;
    }
  }
  CHECK(!is_readable(fd, 0));

  zrc_queue_stats stats;
  ZRC_INIT(&stats);
  EXPECT(ZRC_OK, zrc_queue_get_stats(queue, &stats));
  CHECK(stats.completions == BANDS && stats.wakes >= 1 && stats.wakes <= BANDS);
  zrc_queue_release(queue);
}

/* The descriptor tells the truth when only part is taken, and when it is asked for late. */
static void poll_a_queue_that_is_not_empty(zrc_store *store) {
  zrc_queue *queue = NULL;
  EXPECT(ZRC_OK, zrc_queue_new(&queue, NULL));
  zrc_sink sink = {zrc_queue_complete, queue, 7};
  for (int i = 0; i < 3; i++) {
    zrc_op *op = NULL;
    EXPECT(ZRC_OK, zrc_array_open_async(store, "plain", NULL, &sink, &op, NULL));
    EXPECT(ZRC_OK, zrc_op_wait(op, UINT32_MAX, NULL));
    zrc_op_release(op);
  }
  intptr_t fd = -1;
  EXPECT(ZRC_OK, zrc_queue_fd(queue, &fd, NULL));
  zrc_completion one[3];
  one[0].struct_size = sizeof one[0];
  for (int left = 3; left > 0; left--) {
    CHECK(is_readable(fd, 0));
    CHECK(zrc_queue_drain(queue, one, 1) == 1);
    CHECK(one[0].tag == 7);
    zrc_array_release((zrc_array *)one[0].result);
  }
  CHECK(!is_readable(fd, 0) && zrc_queue_drain(queue, one, 3) == 0);

  zrc_queue_stats stats;
  ZRC_INIT(&stats);
  EXPECT(ZRC_OK, zrc_queue_get_stats(queue, &stats));
  CHECK(stats.completions == 3 && stats.wakes == 1);
  zrc_queue_release(queue);
}

/* ---- what arrays are ---- */

static void describe_plain(const zrc_array *array) {
  uint64_t out[2], index[2] = {9, 8}, last[2] = {1, 1}, start[2], shape[2];
  CHECK(zrc_array_ndim(array) == 2 && zrc_array_zarr_format(array) == 3);
  EXPECT(ZRC_OK, zrc_array_shape(array, out, 2));
  CHECK(out[0] == ROWS && out[1] == COLUMNS);
  EXPECT(ZRC_OK, zrc_array_grid_shape(array, out, 2));
  CHECK(out[0] == 10 && out[1] == 9);
  EXPECT(ZRC_OK, zrc_array_chunk_shape(array, index, out, 2));
  CHECK(out[0] == 10 && out[1] == 7);
  EXPECT(ZRC_OK, zrc_array_chunks_extent(array, index, last, start, shape));
  CHECK(start[0] == 90 && start[1] == 56 && shape[0] == 5 && shape[1] == 7);
  EXPECT(ZRC_E_UNSUPPORTED, zrc_array_inner_chunk_shape(array, out, 2));

  zrc_dtype dtype;
  ZRC_INIT(&dtype);
  EXPECT(ZRC_OK, zrc_array_dtype(array, &dtype));
  CHECK(dtype.itemsize == 4 && dtype.alignment == 4);
  CHECK(strcmp(dtype.typestr, "<i4") == 0 && strcmp(dtype.name, "int32") == 0);
  int32_t fill = -1;
  EXPECT(ZRC_OK, zrc_array_fill_value(array, &fill, sizeof fill));
  CHECK(fill == 0);
  CHECK(contains(zrc_array_metadata_json(array), "\"node_type\""));
}

static void describe_sharded(zrc_store *store, const zrc_array *array) {
  uint64_t out[2], index[2] = {0, 0};
  EXPECT(ZRC_OK, zrc_array_chunk_shape(array, index, out, 2));
  CHECK(out[0] == 16 && out[1] == 20);
  EXPECT(ZRC_OK, zrc_array_inner_chunk_shape(array, out, 2));
  CHECK(out[0] == 4 && out[1] == 5);

  zrc_store *same = zrc_array_store(array);
  CHECK(same == store && contains(zrc_store_url(same), "file:///"));
  zrc_store_release(same);

  /* From its metadata alone it is the same array. */
  zrc_str json = zrc_array_metadata_json(array);
  char *text = (char *)calloc(1, json.len + 1);
  memcpy(text, json.ptr, json.len);
  zrc_array *twin = NULL;
  EXPECT(ZRC_OK, zrc_array_from_metadata(store, "/sharded/", text, &twin, NULL));
  CHECK(equals(zrc_array_path(twin), "sharded"));
  zrc_array_release(twin);
  free(text);
}

/* Missing chunks: `holes` has only its first. */
static void read_holes(zrc_runtime *runtime, zrc_store *store) {
  zrc_array *array = open_array(store, "holes");
  uint64_t there[2] = {0, 0}, missing[2] = {1, 1};
  zrc_buf *buf = NULL;
  EXPECT(ZRC_OK, zrc_read_encoded_chunk(array, there, 0, &buf, NULL));
  CHECK(buf != NULL);
  zrc_buf_free(buf);
  EXPECT(ZRC_OK, zrc_read_encoded_chunk(array, missing, 0, &buf, NULL));
  CHECK(buf == NULL);

  box corner = new_box(8, 8, 6, 6);
  zrc_region region = region_of(array, &corner);
  zrc_op *op = NULL;
  EXPECT(ZRC_OK, zrc_read_async(runtime, &region, 1, NULL, NULL, &op, NULL));
  EXPECT(ZRC_OK, zrc_op_wait(op, UINT32_MAX, NULL));
  zrc_op_stats stats;
  ZRC_INIT(&stats);
  EXPECT(ZRC_OK, zrc_op_get_stats(op, &stats));
  CHECK(stats.objects_total == 4 && stats.objects_done == 4);
  CHECK(stats.chunks_decoded == 1 && stats.chunks_missing == 3);
  CHECK(stats.bytes_placed == region.nbytes && stats.heads == 0);
  zrc_op_release(op);
  for (int i = 0; i < 6; i++)
    for (int j = 0; j < 6; j++)
      CHECK(corner.data[6 * i + j] == (i < 2 && j < 2 ? 1000 * (8 + i) + 8 + j : -7));
  free(corner.data);
  zrc_array_release(array);
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  CHECK(zrc_abi_version() >> 16 == ZRC_ABI_MAJOR && (zrc_abi_version() & 0xffff) >= ZRC_ABI_MINOR);
  CHECK(strchr(zrc_version(), '.') != NULL);

  zrc_runtime *runtime = new_runtime();
  zrc_store *store = open_store(runtime, argv[1]);
  zrc_array *plain = open_array(store, "plain"), *sharded = open_array(store, "sharded");
  describe_plain(plain);
  describe_sharded(store, sharded);

  read_blocking(runtime, plain, ROWS, COLUMNS);
  read_blocking(runtime, sharded, 48, 40);
  read_strided(runtime, plain);
  read_by_callback(runtime, store, plain);
  read_by_queue(runtime, plain);
  poll_a_queue_that_is_not_empty(store);
  read_holes(runtime, store);

  zrc_stats stats;
  ZRC_INIT(&stats);
  EXPECT(ZRC_OK, zrc_runtime_get_stats(runtime, &stats));
  CHECK(stats.failed == 1 && stats.cancelled == 0 && stats.operations > 25);
  CHECK(stats.chunks_decoded > 0 && stats.bytes_fetched > 0 && stats.requests > 0 && stats.heads == 0);

  zrc_array_release(plain);
  zrc_array_release(sharded);
  zrc_store_release(store);
  EXPECT(ZRC_OK, zrc_runtime_shutdown(runtime, 60000));
  zrc_runtime_release(runtime);
  puts("ok");
  return 0;
}
