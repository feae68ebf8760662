/* Every mistake that the border can see is a status and an error that says what was wrong; nothing is written. */
#include "check.h"

enum { ROWS = 95, COLUMNS = 63 }; /* of `plain` */

static void nulls(zrc_runtime *runtime, zrc_store *store, zrc_array *array) {
  uint64_t index[2] = {0, 0};
  zrc_store *new_store = NULL;
  zrc_array *new_array = NULL;
  zrc_buf *buf = NULL;
  EXPECT_ERROR(ZRC_E_INVALID, "out must not be NULL", zrc_runtime_new(NULL, NULL, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "runtime must not be NULL", zrc_store_open(NULL, "/", NULL, &new_store, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "url must not be NULL", zrc_store_open(runtime, NULL, NULL, &new_store, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "out must not be NULL", zrc_store_open(runtime, "/", NULL, NULL, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "store must not be NULL", zrc_array_open(NULL, "", NULL, &new_array, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "path must not be NULL", zrc_array_open(store, NULL, NULL, &new_array, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "path is not UTF-8", zrc_array_open(store, "\xff", NULL, &new_array, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "out must not be NULL", zrc_array_open(store, "", NULL, NULL, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "metadata_json must not be NULL",
               zrc_array_from_metadata(store, "", NULL, &new_array, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "index must not be NULL", zrc_read_encoded_chunk(array, NULL, 0, &buf, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "array must not be NULL", zrc_read_encoded_chunk(NULL, index, 0, &buf, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "regions must not be NULL", zrc_read(runtime, NULL, 1, NULL, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "out must not be NULL", zrc_queue_new(NULL, &error));
  EXPECT(ZRC_E_INVALID, zrc_array_shape(array, NULL, 2));
  EXPECT(ZRC_E_INVALID, zrc_runtime_shutdown(NULL, 0));
  EXPECT(ZRC_E_INVALID, zrc_op_wait(NULL, 0, NULL));
  EXPECT(ZRC_E_INVALID, zrc_queue_wait(NULL, 0));
  EXPECT(ZRC_E_INVALID, zrc_runtime_get_stats(runtime, NULL));
  CHECK(new_store == NULL && new_array == NULL && buf == NULL);
}

static void nulls_where_there_is_no_status(void) {
  zrc_runtime_retain(NULL), zrc_runtime_release(NULL);
  zrc_store_retain(NULL), zrc_store_release(NULL);
  zrc_array_retain(NULL), zrc_array_release(NULL);
  zrc_op_retain(NULL), zrc_op_release(NULL), zrc_op_cancel(NULL);
  zrc_queue_retain(NULL), zrc_queue_release(NULL), zrc_queue_wake(NULL), zrc_queue_complete(NULL, NULL);
  zrc_error_free(NULL), zrc_buf_free(NULL);
  CHECK(zrc_error_status(NULL) == ZRC_OK);
  CHECK(zrc_array_ndim(NULL) == 0 && zrc_array_zarr_format(NULL) == 0 && zrc_array_store(NULL) == NULL);
  CHECK(zrc_buf_data(NULL) == NULL && zrc_buf_len(NULL) == 0 && zrc_queue_drain(NULL, NULL, 1) == 0);
  zrc_str texts[] = {zrc_error_message(NULL), zrc_error_key(NULL), zrc_store_url(NULL), zrc_array_path(NULL),
                     zrc_array_metadata_json(NULL)};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) CHECK(texts[i].ptr != NULL && texts[i].len == 0);
  CHECK(strcmp(zrc_status_name(ZRC_E_MEMORY), "ZRC_E_MEMORY") == 0);
  CHECK(strcmp(zrc_status_name(-1), "ZRC_E_UNKNOWN") == 0 && strcmp(zrc_status_name(99), "ZRC_E_UNKNOWN") == 0);
}

static void structs_of_other_versions(zrc_runtime *runtime, zrc_store *store, zrc_array *array) {
  struct {
    zrc_array_options known;
    uint64_t later;
  } newer = {{sizeof newer, 3, 0}, 0};
  zrc_array *opened = NULL;
  EXPECT(ZRC_OK, zrc_array_open(store, "plain", &newer.known, &opened, NULL));
  zrc_array_release(opened);
  newer.later = 1;
  EXPECT_ERROR(ZRC_E_INVALID, "does not know", zrc_array_open(store, "plain", &newer.known, &opened, &error));

  zrc_array_options older = {sizeof(size_t) + sizeof(uint32_t), 3, 0xffffffff}; /* it has no flags yet */
  EXPECT(ZRC_OK, zrc_array_open(store, "plain", &older, &opened, NULL));
  zrc_array_release(opened);

  zrc_array_options unset = {0, 0, 0};
  EXPECT_ERROR(ZRC_E_INVALID, "struct_size", zrc_array_open(store, "plain", &unset, &opened, &error));
  unset.struct_size = (size_t)-1;
  EXPECT_ERROR(ZRC_E_INVALID, "struct_size", zrc_array_open(store, "plain", &unset, &opened, &error));

  struct {
    zrc_stats known;
    uint64_t later;
  } stats;
  memset(&stats, 0xff, sizeof stats);
  stats.known.struct_size = sizeof stats;
  EXPECT(ZRC_OK, zrc_runtime_get_stats(runtime, &stats.known));
  CHECK(stats.known.struct_size == sizeof stats && stats.known.heads == 0 && stats.later == 0);
  stats.known.struct_size = 0;
  EXPECT(ZRC_E_INVALID, zrc_runtime_get_stats(runtime, &stats.known));

  /* Regions have no size of their own; the options have it. */
  box corner = new_box(0, 0, 2, 2), next = new_box(2, 2, 2, 2);
  struct {
    zrc_region known;
    uint64_t later;
  } regions[2] = {{region_of(array, &corner), 0}, {region_of(array, &next), 0}};
  zrc_io_options options;
  ZRC_INIT(&options);
  options.region_size = sizeof regions[0];
  regions[1].later = 1;
  EXPECT_ERROR(ZRC_E_INVALID, "regions[1]", zrc_read(runtime, &regions[0].known, 2, &options, &error));
  options.region_size = 1;
  EXPECT_ERROR(ZRC_E_INVALID, "options.region_size", zrc_read(runtime, &regions[0].known, 2, &options, &error));
  CHECK(corner.data[0] == -1 && next.data[0] == -1);
  options.region_size = sizeof regions[0];
  regions[1].later = 0;
  EXPECT(ZRC_OK, zrc_read(runtime, &regions[0].known, 2, &options, NULL));
  expect_box(&corner);
  expect_box(&next);

  /* A region of a time before strides: C order. */
  box old = new_box(4, 4, 2, 2);
  zrc_region region = region_of(array, &old);
  region.strides = (const int64_t *)1;
  options.region_size = offsetof(zrc_region, strides);
  EXPECT(ZRC_OK, zrc_read(runtime, &region, 1, &options, NULL));
  expect_box(&old);
}

static void unknown_flags_and_options(zrc_runtime *runtime, zrc_store *store, zrc_array *array) {
  zrc_runtime_options runtime_options;
  zrc_runtime *none = NULL;
  ZRC_INIT(&runtime_options);
  runtime_options.flags = 1;
  EXPECT_ERROR(ZRC_E_INVALID, "unknown bits: 0x1", zrc_runtime_new(&runtime_options, &none, &error));
  runtime_options.flags = 0;
  runtime_options.codec_threads = 4097;
  EXPECT_ERROR(ZRC_E_INVALID, "4097", zrc_runtime_new(&runtime_options, &none, &error));

  zrc_array_options array_options = {sizeof array_options, 4, 0};
  zrc_array *opened = NULL;
  EXPECT_ERROR(ZRC_E_INVALID, "2 or 3, not 4", zrc_array_open(store, "plain", &array_options, &opened, &error));

  zrc_io_options io_options;
  ZRC_INIT(&io_options);
  io_options.flags = 0x10;
  box corner = new_box(0, 0, 2, 2);
  zrc_region region = region_of(array, &corner);
  EXPECT_ERROR(ZRC_E_INVALID, "unknown bits: 0x10", zrc_read(runtime, &region, 1, &io_options, &error));
  free(corner.data);
}

static void stores_and_arrays_that_are_not_there(zrc_runtime *runtime, zrc_store *store) {
  zrc_store *other = NULL;
  zrc_array *array = NULL;
  EXPECT_ERROR(ZRC_E_INVALID, "empty", zrc_store_open(runtime, "", NULL, &other, &error));
  EXPECT_ERROR(ZRC_E_UNSUPPORTED, "gopher", zrc_store_open(runtime, "gopher://x/y", NULL, &other, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "not JSON", zrc_store_open(runtime, "/", "{", &other, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "an array", zrc_store_open(runtime, "/", "[]", &other, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "\"a\" must be a string", zrc_store_open(runtime, "/", "{\"a\": 1}", &other, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "\"nonsense\"",
               zrc_store_open(runtime, "/", "{\"nonsense\": \"1\"}", &other, &error));

  EXPECT_ERROR(ZRC_E_NOT_FOUND, "nowhere", zrc_array_open(store, "nowhere", NULL, &array, &error));
  EXPECT_ERROR(ZRC_E_NOT_FOUND, "group", zrc_array_open(store, "group", NULL, &array, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "nonsense", zrc_array_open(store, "nonsense", NULL, &array, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "", zrc_array_from_metadata(store, "x", "{}", &array, &error));
  CHECK(other == NULL && array == NULL);
}

/* Submits a region that is wrong; the memory stays as it was. */
static void expect_refusal(zrc_runtime *runtime, zrc_region region, zrc_status status, const char *text) {
  int32_t *data = (int32_t *)region.data;
  EXPECT_ERROR(status, text, zrc_read(runtime, &region, 1, NULL, &error));
  EXPECT_ERROR(status, text, zrc_read_async(runtime, &region, 1, NULL, NULL, NULL, &error));
  CHECK(data == NULL || data[0] == -1);
}

static void regions_that_do_not_fit(zrc_runtime *runtime, zrc_store *store, zrc_array *array) {
  box b = new_box(90, 60, 5, 3);
  zrc_region good = region_of(array, &b), bad = good;
  bad.array = NULL;
  expect_refusal(runtime, bad, ZRC_E_INVALID, "array must not be NULL");
  bad = good, bad.start = NULL;
  expect_refusal(runtime, bad, ZRC_E_INVALID, "start must not be NULL");
  bad = good, bad.shape = NULL;
  expect_refusal(runtime, bad, ZRC_E_INVALID, "shape must not be NULL");
  bad = good, bad.data = NULL;
  expect_refusal(runtime, bad, ZRC_E_BUFFER, "NULL");
  bad = good, bad.nbytes = 59;
  expect_refusal(runtime, bad, ZRC_E_BUFFER, "59");
  uint64_t outside[2] = {91, 60}, huge[2] = {UINT64_MAX, 0};
  bad = good, bad.start = outside;
  expect_refusal(runtime, bad, ZRC_E_INVALID, "dimension 0");
  bad = good, bad.start = huge;
  expect_refusal(runtime, bad, ZRC_E_INVALID, "dimension 0");
  int64_t no_step[2] = {1, 0}, too_far[2] = {2, 1}, backwards[2] = {1, INT64_MIN};
  bad = good, bad.step = no_step;
  expect_refusal(runtime, bad, ZRC_E_INVALID, "dimension 1");
  bad.step = too_far;
  expect_refusal(runtime, bad, ZRC_E_INVALID, "dimension 0");
  bad.step = backwards;
  expect_refusal(runtime, bad, ZRC_E_INVALID, "dimension 1");
  int64_t overlapping[2] = {4, 4}, standing[2] = {0, 4}, endless[2] = {INT64_MIN, 4};
  bad = good, bad.strides = overlapping;
  expect_refusal(runtime, bad, ZRC_E_BUFFER, "overlap");
  bad.strides = standing;
  expect_refusal(runtime, bad, ZRC_E_BUFFER, "overlap");
  bad.strides = endless;
  expect_refusal(runtime, bad, ZRC_E_BUFFER, "");

  zrc_array *variable = open_array(store, "strings");
  uint64_t first[1] = {0}, one[1] = {1};
  char *text = NULL;
  zrc_region strings = {variable, first, one, NULL, &text, sizeof text, NULL};
  EXPECT_ERROR(ZRC_E_UNSUPPORTED, "variable-length", zrc_read(runtime, &strings, 1, NULL, &error));
  zrc_array_release(variable);

  /* The region at fault is named, and the good ones are not read. */
  zrc_region regions[3] = {good, good, good};
  regions[1].start = outside;
  EXPECT_ERROR(ZRC_E_INVALID, "region 1", zrc_read(runtime, regions, 3, NULL, &error));
  CHECK(b.data[0] == -1);

  zrc_runtime *other = new_runtime();
  EXPECT_ERROR(ZRC_E_INVALID, "another runtime", zrc_read(other, &good, 1, NULL, &error));
  zrc_runtime_release(other);

  zrc_sink sink = {NULL, NULL, 0};
  EXPECT_ERROR(ZRC_E_INVALID, "sink.fn", zrc_read_async(runtime, &good, 1, NULL, &sink, NULL, &error));
  sink.fn = zrc_queue_complete;
  EXPECT_ERROR(ZRC_E_INVALID, "sink.ctx", zrc_read_async(runtime, &good, 1, NULL, &sink, NULL, &error));

  EXPECT(ZRC_OK, zrc_read(runtime, &good, 1, NULL, NULL));
  expect_box(&b);
}

static void descriptions_that_do_not_fit(zrc_array *array) {
  uint64_t out[2] = {5, 5}, index[2] = {10, 0}, shape[2] = {1, 1};
  EXPECT(ZRC_E_INVALID, zrc_array_shape(array, out, 1));
  EXPECT(ZRC_E_INVALID, zrc_array_chunk_shape(array, index, out, 2));
  EXPECT(ZRC_E_INVALID, zrc_array_chunks_extent(array, index, shape, out, out));
  EXPECT(ZRC_E_INVALID, zrc_array_fill_value(array, out, 8));
  CHECK(out[0] == 5 && out[1] == 5);
  zrc_buf *buf = NULL;
  EXPECT_ERROR(ZRC_E_INVALID, "[10, 0]", zrc_read_encoded_chunk(array, index, 0, &buf, &error));
}

static void nothing_to_do_is_no_error(zrc_runtime *runtime, zrc_array *array) {
  EXPECT(ZRC_OK, zrc_read(runtime, NULL, 0, NULL, NULL));
  uint64_t start[2] = {0, 0}, shape[2] = {0, 7};
  zrc_region empty = {array, start, shape, NULL, NULL, 0, NULL};
  EXPECT(ZRC_OK, zrc_read(runtime, &empty, 1, NULL, NULL));
  zrc_op *op = NULL;
  zrc_completion completion;
  ZRC_INIT(&completion);
  EXPECT(ZRC_OK, zrc_read_async(runtime, &empty, 1, NULL, NULL, &op, NULL));
  EXPECT(ZRC_OK, zrc_op_wait(op, UINT32_MAX, &completion));
  CHECK(completion.status == ZRC_OK && completion.bytes == 0);
  zrc_op_release(op);
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  zrc_runtime *runtime = new_runtime();
  zrc_store *store = open_store(runtime, argv[1]);
  zrc_array *plain = open_array(store, "plain");
  nulls(runtime, store, plain);
  nulls_where_there_is_no_status();
  structs_of_other_versions(runtime, store, plain);
  unknown_flags_and_options(runtime, store, plain);
  stores_and_arrays_that_are_not_there(runtime, store);
  regions_that_do_not_fit(runtime, store, plain);
  descriptions_that_do_not_fit(plain);
  nothing_to_do_is_no_error(runtime, plain);
  zrc_array_release(plain);
  zrc_store_release(store);
  EXPECT(ZRC_OK, zrc_runtime_shutdown(runtime, 60000));
  zrc_runtime_release(runtime);
  puts("ok");
  return 0;
}
