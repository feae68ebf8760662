/* Makes arrays, writes them blocking, by callback and by a queue, changes and erases them; and what is refused. */
#include "check.h"

enum { ROWS = 95, COLUMNS = 63, BANDS = 19, BAND = 5 };

static const char metadata[] = METADATA("[95,63]", "{\"a\":1}");

static zrc_array *make(zrc_store *store, const char *path) {
  zrc_array *array = NULL;
  zrc_error *error = NULL;
  zrc_array_create(store, path, metadata, ZRC_CREATE_OVERWRITE, &array, &error);
  stop_on(error);
  return array;
}

static void expect_written(zrc_runtime *runtime, const zrc_array *array) {
  box whole = new_box(0, 0, ROWS, COLUMNS);
  zrc_region region = region_of(array, &whole);
  EXPECT(ZRC_OK, zrc_read(runtime, &region, 1, NULL, NULL));
  expect_box(&whole);
}

/* ---- three ways ---- */

static void write_blocking(zrc_runtime *runtime, zrc_store *store) {
  zrc_array *array = make(store, "written/blocking");
  box left = filled_box(0, 0, ROWS, 30), right = filled_box(0, 30, ROWS, 33);
  zrc_region regions[2] = {region_of(array, &left), region_of(array, &right)};
  zrc_io_options options;
  zrc_status statuses[2] = {-1, -1};
  ZRC_INIT(&options);
  options.flags = ZRC_IO_SYNC;
  options.max_requests = 3;
  options.statuses = statuses;
  EXPECT(ZRC_OK, zrc_write(runtime, regions, 2, &options, NULL));
  CHECK(statuses[0] == ZRC_OK && statuses[1] == ZRC_OK);
  free(left.data);
  free(right.data);
  expect_written(runtime, array);
  zrc_array_release(array);
}

/* From Fortran order, backwards: a chunk that is there changes in part. */
static void write_strided(zrc_runtime *runtime, zrc_store *store) {
  zrc_array *array = make(store, "written/strided");
  box whole = filled_box(0, 0, ROWS, COLUMNS);
  for (int i = 0; i < 40; i++)
    for (int j = 0; j < 20; j++) whole.data[(90 - 2 * i) * COLUMNS + 3 + j] = -9;
  zrc_region region = region_of(array, &whole);
  EXPECT(ZRC_OK, zrc_write(runtime, &region, 1, NULL, NULL));
  free(whole.data);
  uint64_t start[2] = {90, 3}, shape[2] = {40, 20};
  int64_t step[2] = {-2, 1}, strides[2] = {sizeof(int32_t), 40 * sizeof(int32_t)};
  static int32_t data[20][40];
  for (int i = 0; i < 40; i++)
    for (int j = 0; j < 20; j++) data[j][i] = 1000 * (90 - 2 * i) + 3 + j;
  zrc_region strided = {array, start, shape, step, data, sizeof data, strides};
  EXPECT(ZRC_OK, zrc_write(runtime, &strided, 1, NULL, NULL));
  expect_written(runtime, array);
  zrc_array_release(array);
}

static void write_by_queue(zrc_runtime *runtime, zrc_store *store) {
  zrc_array *array = make(store, "written/queue");
  zrc_queue *queue = NULL;
  EXPECT(ZRC_OK, zrc_queue_new(&queue, NULL));
  box bands[BANDS];
  for (uint64_t i = 0; i < BANDS; i++) { /* two of them in each chunk */
    bands[i] = filled_box(i * BAND, 0, BAND, COLUMNS);
    zrc_region region = region_of(array, &bands[i]);
    zrc_sink sink = {zrc_queue_complete, queue, i};
    EXPECT(ZRC_OK, zrc_write_async(runtime, &region, 1, NULL, &sink, NULL, NULL));
  }
  for (int left = BANDS; left > 0;) {
    EXPECT(ZRC_OK, zrc_queue_wait(queue, UINT32_MAX));
    zrc_completion some[4];
    some[0].struct_size = sizeof some[0];
    size_t n = zrc_queue_drain(queue, some, 4);
    for (size_t i = 0; i < n; i++, left--) {
      CHECK(some[i].status == ZRC_OK && some[i].result == NULL);
      CHECK(some[i].bytes == BAND * COLUMNS * sizeof(int32_t));
      free(bands[some[i].tag].data);
    }
  }
  zrc_queue_release(queue);
  expect_written(runtime, array);
  zrc_array_release(array);
}

/* One element for many, by strides of 0; and what it cost. */
static void write_one_element(zrc_runtime *runtime, zrc_store *store) {
  zrc_array *array = make(store, "written/one");
  uint64_t start[2] = {0, 0}, shape[2] = {20, COLUMNS};
  int64_t strides[2] = {0, 0};
  int32_t value = 7;
  zrc_region region = {array, start, shape, NULL, &value, 20 * COLUMNS * sizeof value, strides};
  zrc_op *op = NULL;
  EXPECT(ZRC_OK, zrc_write_async(runtime, &region, 1, NULL, NULL, &op, NULL));
  EXPECT(ZRC_OK, zrc_op_wait(op, UINT32_MAX, NULL));
  zrc_op_stats stats;
  ZRC_INIT(&stats);
  EXPECT(ZRC_OK, zrc_op_get_stats(op, &stats));
  CHECK(stats.objects_total == 18 && stats.objects_done == 18 && stats.puts == 18 && stats.deletes == 0);
  CHECK(stats.chunks_encoded == 18 && stats.chunks_decoded == 0 && stats.requests == 18);
  CHECK(stats.bytes_written == 18 * 70 * sizeof value);
  zrc_op_release(op);

  value = 0; /* the fill value */
  EXPECT(ZRC_OK, zrc_write_async(runtime, &region, 1, NULL, NULL, &op, NULL));
  EXPECT(ZRC_OK, zrc_op_wait(op, UINT32_MAX, NULL));
  EXPECT(ZRC_OK, zrc_op_get_stats(op, &stats));
  CHECK(stats.puts == 0 && stats.deletes == 18 && stats.chunks_encoded == 0);
  zrc_op_release(op);
  zrc_array_release(array);
}

/* ---- chunks as they are stored ---- */

static void write_encoded(zrc_runtime *runtime, zrc_store *store) {
  zrc_array *array = make(store, "written/encoded");
  uint64_t index[2] = {0, 0};
  box chunk = filled_box(0, 0, 10, 7);
  size_t nbytes = 70 * sizeof(int32_t);
  EXPECT(ZRC_OK, zrc_write_encoded_chunk(array, index, chunk.data, nbytes, 0, NULL));
  free(chunk.data);
  box back = new_box(0, 0, 10, 7);
  zrc_region region = region_of(array, &back);
  EXPECT(ZRC_OK, zrc_read(runtime, &region, 1, NULL, NULL));
  expect_box(&back);

  zrc_op *op = NULL;
  EXPECT(ZRC_OK, zrc_write_encoded_chunk_async(array, index, "abc", 3, 0, NULL, &op, NULL));
  EXPECT(ZRC_OK, zrc_op_wait(op, UINT32_MAX, NULL));
  zrc_op_release(op);
  zrc_buf *buf = NULL;
  EXPECT(ZRC_OK, zrc_read_encoded_chunk(array, index, 0, &buf, NULL));
  CHECK(zrc_buf_len(buf) == 3 && memcmp(zrc_buf_data(buf), "abc", 3) == 0);
  zrc_buf_free(buf);

  for (int twice = 0; twice < 2; twice++) EXPECT(ZRC_OK, zrc_erase_chunk(array, index, 0, NULL));
  EXPECT(ZRC_OK, zrc_erase_chunk_async(array, index, 0, NULL, &op, NULL));
  EXPECT(ZRC_OK, zrc_op_wait(op, UINT32_MAX, NULL));
  zrc_op_release(op);
  EXPECT(ZRC_OK, zrc_read_encoded_chunk(array, index, 0, &buf, NULL));
  CHECK(buf == NULL);
  index[0] = 10;
  EXPECT_ERROR(ZRC_E_INVALID, "10", zrc_write_encoded_chunk(array, index, "abc", 3, 0, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "10", zrc_erase_chunk(array, index, 0, &error));
  index[0] = 0;
  EXPECT_ERROR(ZRC_E_INVALID, "flags", zrc_write_encoded_chunk(array, index, "abc", 3, 1, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "flags", zrc_erase_chunk(array, index, 1, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "data", zrc_write_encoded_chunk(array, index, NULL, 3, 0, &error));
  zrc_array_release(array);
}

/* ---- metadata ---- */

static void create(zrc_store *store) {
  zrc_array *array = make(store, "written/made"), *other = NULL;
  CHECK(equals(zrc_array_path(array), "written/made") && contains(zrc_array_metadata_json(array), "\"a\":1"));
  EXPECT_ERROR(ZRC_E_EXISTS, "written/made", zrc_array_create(store, "written/made", metadata, 0, &other, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "", zrc_array_create(store, "written/none", "{", 0, &other, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "NULL", zrc_array_create(store, "written/none", NULL, 0, &other, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "NULL", zrc_array_create(NULL, "written/none", metadata, 0, &other, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "flags", zrc_array_create(store, "written/none", metadata, 4, &other, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "NULL", zrc_array_create(store, "written/none", metadata, 0, NULL, &error));
  CHECK(other == NULL);
  EXPECT(ZRC_E_NOT_FOUND, zrc_array_open(store, "written/none", NULL, &other, NULL));
  zrc_array_release(array);
}

static void update(zrc_runtime *runtime, zrc_store *store) {
  zrc_array *array = make(store, "written/updated"), *updated = NULL, *other = NULL;
  box whole = filled_box(0, 0, ROWS, COLUMNS);
  zrc_region region = region_of(array, &whole);
  EXPECT(ZRC_OK, zrc_write(runtime, &region, 1, NULL, NULL));
  free(whole.data);
  EXPECT(ZRC_OK, zrc_array_update(array, METADATA("[30,63]", "{\"b\":2}"), 0, &updated, NULL));
  uint64_t shape[2], outside[2] = {3, 0}, inside[2] = {2, 8};
  EXPECT(ZRC_OK, zrc_array_shape(updated, shape, 2));
  CHECK(shape[0] == 30 && shape[1] == COLUMNS && contains(zrc_array_metadata_json(updated), "\"b\":2"));
  EXPECT(ZRC_OK, zrc_array_shape(array, shape, 2));
  CHECK(shape[0] == ROWS);
  zrc_buf *buf = NULL;
  EXPECT(ZRC_OK, zrc_read_encoded_chunk(array, outside, 0, &buf, NULL));
  CHECK(buf == NULL);
  EXPECT(ZRC_OK, zrc_read_encoded_chunk(array, inside, 0, &buf, NULL));
  CHECK(buf != NULL);
  zrc_buf_free(buf);

  /* Nothing else can be changed. */
  char text[sizeof metadata];
  memcpy(text, metadata, sizeof metadata);
  memcpy(strstr(text, "int32"), "uint8", 5);
  EXPECT_ERROR(ZRC_E_INVALID, "only the shape", zrc_array_update(array, text, 0, &other, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "flags", zrc_array_update(array, metadata, 1, &other, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "NULL", zrc_array_update(NULL, metadata, 0, &other, &error));

  zrc_op *op = NULL;
  zrc_completion completion;
  ZRC_INIT(&completion);
  EXPECT(ZRC_OK, zrc_array_update_async(updated, METADATA("[95,63]", "{\"b\":2}"), 0, NULL, &op, NULL));
  EXPECT(ZRC_OK, zrc_op_wait(op, UINT32_MAX, &completion));
  CHECK(completion.status == ZRC_OK && (completion.flags & ZRC_COMPLETION_ARRAY));
  zrc_array_release((zrc_array *)completion.result);
  zrc_op_release(op);

  /* Somebody has made another array of it. */
  EXPECT(ZRC_OK, zrc_array_create(store, "written/updated", text, ZRC_CREATE_OVERWRITE, &other, NULL));
  zrc_array_release(other);
  other = NULL;
  EXPECT_ERROR(ZRC_E_CONFLICT, "written/updated", zrc_array_update(array, metadata, 0, &other, &error));
  zrc_array_release(array);
  zrc_array_release(updated);
}

/* ---- what is refused at the call, and what ends early ---- */

static void refuse(zrc_runtime *runtime, zrc_store *store) {
  zrc_array *array = make(store, "written/refused");
  box small = filled_box(90, 60, 5, 3);
  zrc_region good = region_of(array, &small), region = good;
  zrc_io_options options;
  ZRC_INIT(&options);
  EXPECT_ERROR(ZRC_E_INVALID, "regions must not be NULL", zrc_write(runtime, NULL, 1, NULL, &error));
  region.data = NULL;
  EXPECT_ERROR(ZRC_E_BUFFER, "NULL", zrc_write(runtime, &region, 1, NULL, &error));
  region = good;
  region.nbytes -= 1;
  EXPECT_ERROR(ZRC_E_BUFFER, "bytes", zrc_write(runtime, &region, 1, NULL, &error));
  region = good;
  region.start = (const uint64_t[2]){91, 60};
  EXPECT_ERROR(ZRC_E_INVALID, "dimension 0", zrc_write(runtime, &region, 1, NULL, &error));
  region = good;
  region.step = (const int64_t[2]){1, 0};
  EXPECT_ERROR(ZRC_E_INVALID, "step", zrc_write(runtime, &region, 1, NULL, &error));
  options.flags = 1u << 30;
  EXPECT_ERROR(ZRC_E_INVALID, "flags", zrc_write(runtime, &good, 1, &options, &error));
  options.flags = ZRC_IO_WRITE_EMPTY; /* of writes only */
  EXPECT_ERROR(ZRC_E_INVALID, "flags", zrc_read(runtime, &good, 1, &options, &error));
  options.flags = ZRC_IO_IF_UNCHANGED;
  EXPECT_ERROR(ZRC_E_UNSUPPORTED, "condition", zrc_write(runtime, &good, 1, &options, &error));

  zrc_store *http = NULL;
  zrc_array *remote = NULL;
  EXPECT(ZRC_OK, zrc_store_open(runtime, "http://127.0.0.1:9/a", "{\"allow_http\":\"true\"}", &http, NULL));
  EXPECT(ZRC_OK, zrc_array_from_metadata(http, "", metadata, &remote, NULL));
  region = region_of(remote, &small);
  uint64_t index[2] = {0, 0};
  zrc_array *made = NULL;
  EXPECT_ERROR(ZRC_E_UNSUPPORTED, "http", zrc_write(runtime, &region, 1, NULL, &error));
  EXPECT_ERROR(ZRC_E_UNSUPPORTED, "http", zrc_erase_chunk(remote, index, 0, &error));
  EXPECT_ERROR(ZRC_E_UNSUPPORTED, "http", zrc_array_create(http, "b", metadata, 0, &made, &error));
  EXPECT_ERROR(ZRC_E_UNSUPPORTED, "http", zrc_array_update(remote, metadata, 0, &made, &error));
  zrc_array_release(remote);
  zrc_store_release(http);
  free(small.data);

  box nothing = new_box(3, 3, 0, 5);
  region = region_of(array, &nothing);
  EXPECT(ZRC_OK, zrc_write(runtime, &region, 1, NULL, NULL));
  EXPECT(ZRC_OK, zrc_write(runtime, NULL, 0, NULL, NULL));
  free(nothing.data);
  zrc_array_release(array);
}

/* Cancelled, or ended by the shutdown: the memory is the caller's again with the completion. */
static void stop(zrc_runtime *runtime, zrc_store *store) {
  zrc_array *array = make(store, "written/stopped");
  for (int i = 0; i < 20; i++) {
    box whole = filled_box(0, 0, ROWS, COLUMNS);
    zrc_region region = region_of(array, &whole);
    zrc_op *op = NULL;
    zrc_completion completion;
    ZRC_INIT(&completion);
    EXPECT(ZRC_OK, zrc_write_async(runtime, &region, 1, NULL, NULL, &op, NULL));
    zrc_op_cancel(op);
    EXPECT(ZRC_OK, zrc_op_wait(op, UINT32_MAX, &completion));
    CHECK(completion.status == ZRC_OK || completion.status == ZRC_E_CANCELLED);
    zrc_error_free(completion.error);
    zrc_op_release(op);
    memset(whole.data, 0xff, region.nbytes);
    free(whole.data);
  }
  box last = filled_box(0, 0, ROWS, COLUMNS);
  zrc_region region = region_of(array, &last);
  zrc_op *op = NULL;
  zrc_completion completion;
  ZRC_INIT(&completion);
  EXPECT(ZRC_OK, zrc_write_async(runtime, &region, 1, NULL, NULL, &op, NULL));
  EXPECT(ZRC_OK, zrc_runtime_shutdown(runtime, 60000));
  EXPECT(ZRC_OK, zrc_op_wait(op, UINT32_MAX, &completion));
  zrc_error_free(completion.error);
  zrc_op_release(op);
  EXPECT_ERROR(ZRC_E_SHUTDOWN, "", zrc_write(runtime, &region, 1, NULL, &error));
  free(last.data);
  zrc_array_release(array);
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  zrc_runtime *runtime = new_runtime();
  zrc_store *store = open_store(runtime, argv[1]);
  write_blocking(runtime, store);
  write_strided(runtime, store);
  write_by_queue(runtime, store);
  write_one_element(runtime, store);
  write_encoded(runtime, store);
  create(store);
  update(runtime, store);
  refuse(runtime, store);
  stop(runtime, store);
  zrc_store_release(store);
  zrc_runtime_release(runtime);
  puts("ok");
  return 0;
}
