/* Stores of the host's own: answered in the callback, later from another thread, and through a queue; failures,
 * cancels, releases without an answer, and the end of the store. */
#include <pthread.h>
#include <stdatomic.h>

#include "check.h"

/* ---- a host: the files of a folder ---- */

typedef struct host {
  const char *folder;
  atomic_int gets, sizes, cancels, drops;
  /* answers of a thread of its own: a list of requests, in `later` mode */
  int later;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  zrc_request *waiting[256];
  size_t count;
  int closed;
} host;

static void answer_file(host *h, zrc_request *request) {
  char path[4096];
  zrc_answer answer;
  ZRC_INIT(&answer);
  CHECK(request->struct_size >= sizeof *request && strlen(request->key.ptr) == request->key.len);
  snprintf(path, sizeof path, "%s/%s", h->folder, request->key.ptr);
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    answer.status = ZRC_E_NOT_FOUND;
    EXPECT(ZRC_OK, zrc_request_answer(request, &answer));
    return;
  }
  CHECK(fseek(file, 0, SEEK_END) == 0);
  uint64_t size = (uint64_t)ftell(file), from = request->offset, n = request->length;
  answer.size = size;
  answer.etag = "one";
  if (request->kind == ZRC_REQUEST_SIZE) {
    EXPECT(ZRC_OK, zrc_request_answer(request, &answer));
    CHECK(fclose(file) == 0);
    return;
  }
  CHECK(request->kind == ZRC_REQUEST_GET);
  if (request->flags & ZRC_REQUEST_SUFFIX) from = n < size ? size - n : 0;
  if (from > size) from = size;
  if (n > size - from) n = size - from;
  char *data = (char *)malloc((size_t)n + 1);
  CHECK(data != NULL && fseek(file, (long)from, SEEK_SET) == 0);
  answer.data = data;
  answer.nbytes = fread(data, 1, (size_t)n, file);
  EXPECT(ZRC_OK, zrc_request_answer(request, &answer));
  memset(data, 0xff, (size_t)n); /* it was copied */
  free(data);
  CHECK(fclose(file) == 0);
}

static void take(host *h, zrc_request *request) {
  if (!h->later) {
    answer_file(h, request);
    return;
  }
  pthread_mutex_lock(&h->lock);
  CHECK(h->count < 256);
  h->waiting[h->count++] = request;
  pthread_cond_signal(&h->changed);
  pthread_mutex_unlock(&h->lock);
}

static void count_and_take(host *h, atomic_int *count, zrc_request *request) {
  TAKE_OVER(h);
  atomic_fetch_add(count, 1);
  take(h, request);
  HAND_OVER(h);
}

static void get(void *ctx, zrc_request *request) { count_and_take((host *)ctx, &((host *)ctx)->gets, request); }

static void size(void *ctx, zrc_request *request) { count_and_take((host *)ctx, &((host *)ctx)->sizes, request); }

static void cancel(void *ctx, zrc_request *request) {
  CHECK(zrc_request_cancelled(request));
  atomic_fetch_add(&((host *)ctx)->cancels, 1);
}

static void drop(void *ctx) {
  TAKE_OVER(ctx); /* all its callbacks have returned */
  atomic_fetch_add(&((host *)ctx)->drops, 1);
}

/* Answers the newest first, so that nothing depends on the order. */
static void *answer_later(void *ctx) {
  host *h = (host *)ctx;
  for (;;) {
    pthread_mutex_lock(&h->lock);
    while (h->count == 0 && !h->closed) pthread_cond_wait(&h->changed, &h->lock);
    zrc_request *request = h->count ? h->waiting[--h->count] : NULL;
    pthread_mutex_unlock(&h->lock);
    if (request == NULL) return NULL;
    answer_file(h, request);
  }
}

static zrc_store *store_of(zrc_runtime *runtime, host *h, uint64_t flags) {
  zrc_store_callbacks callbacks;
  zrc_store *store = NULL;
  zrc_error *error = NULL;
  ZRC_INIT(&callbacks);
  callbacks.ctx = h;
  callbacks.get = get;
  callbacks.size = size;
  callbacks.cancel = cancel;
  callbacks.drop = drop;
  callbacks.url = "mine:files";
  callbacks.flags = flags;
  HAND_OVER(h);
  zrc_store_from_callbacks(runtime, &callbacks, &store, &error);
  stop_on(error);
  return store;
}

static void read_whole(zrc_runtime *runtime, zrc_store *store, const char *path) {
  zrc_array *array = open_array(store, path);
  uint64_t shape[2];
  EXPECT(ZRC_OK, zrc_array_shape(array, shape, 2));
  box b = new_box(0, 0, shape[0], shape[1]);
  zrc_region region = region_of(array, &b);
  zrc_error *error = NULL;
  zrc_read(runtime, &region, 1, NULL, &error);
  stop_on(error);
  expect_box(&b);
  b = new_box(shape[0] - 3, 2, 2, 5); /* of shards: the index, and a range */
  region = region_of(array, &b);
  EXPECT(ZRC_OK, zrc_read(runtime, &region, 1, NULL, NULL));
  expect_box(&b);
  zrc_array_release(array);
}

static void wait_for(atomic_int *count, int value) {
  while (atomic_load(count) != value) { /* a callback of the library is about to raise it */
  }
}

static void answers_at_once_and_later(zrc_runtime *runtime, const char *folder) {
  for (int later = 0; later < 2; later++)
    for (int without_suffix = 0; without_suffix < 2; without_suffix++) {
      host h;
      memset(&h, 0, sizeof h);
      h.folder = folder;
      h.later = later;
      CHECK(pthread_mutex_init(&h.lock, NULL) == 0 && pthread_cond_init(&h.changed, NULL) == 0);
      if (later) CHECK(pthread_create(&h.thread, NULL, answer_later, &h) == 0);
      zrc_store *store = store_of(runtime, &h, without_suffix ? ZRC_STORE_NO_SUFFIX : 0);
      CHECK(equals(zrc_store_url(store), "mine:files"));
      zrc_runtime *same = zrc_store_runtime(store);
      CHECK(same == runtime);
      zrc_runtime_release(same);
      read_whole(runtime, store, "plain");
      CHECK(h.gets >= 90 && h.sizes == 0);
      read_whole(runtime, store, "sharded");
      CHECK(without_suffix ? h.sizes > 0 : h.sizes == 0);
      zrc_store_release(store);
      wait_for(&h.drops, 1);
      CHECK(h.cancels == 0);
      if (later) {
        pthread_mutex_lock(&h.lock);
        h.closed = 1;
        pthread_cond_signal(&h.changed);
        pthread_mutex_unlock(&h.lock);
        pthread_join(h.thread, NULL);
      }
      pthread_mutex_destroy(&h.lock);
      pthread_cond_destroy(&h.changed);
    }
}

/* ---- the same through a queue: this thread answers ---- */

static void a_queue_serves_a_store(zrc_runtime *runtime, const char *folder) {
  host h;
  memset(&h, 0, sizeof h);
  h.folder = folder;
  zrc_queue *queue = NULL;
  EXPECT(ZRC_OK, zrc_queue_new(&queue, NULL));
  zrc_store_callbacks callbacks;
  ZRC_INIT(&callbacks);
  callbacks.tag = 7;
  callbacks.ctx = queue;
  callbacks.get = callbacks.cancel = zrc_queue_request;
  zrc_store *store = NULL;
  EXPECT(ZRC_OK, zrc_store_from_callbacks(runtime, &callbacks, &store, NULL));
  CHECK(equals(zrc_store_url(store), "host:"));
  zrc_sink sink = {zrc_queue_complete, queue, 8};
  EXPECT(ZRC_OK, zrc_array_open_async(store, "plain", NULL, &sink, NULL, NULL));

  zrc_array *array = NULL;
  box b = new_box(0, 0, 95, 63);
  zrc_op *op = NULL;
  int ended = 0, withheld = 0, cancelled = 0;
  zrc_request *kept = NULL;
  while (!ended) {
    zrc_completion items[4];
    ZRC_INIT(&items[0]);
    EXPECT(ZRC_OK, zrc_queue_wait(queue, UINT32_MAX));
    size_t n = zrc_queue_drain(queue, items, 4);
    for (size_t i = 0; i < n; i++) {
      zrc_completion *item = &items[i];
      zrc_request *request = (zrc_request *)item->result;
      if (item->flags & ZRC_COMPLETION_STORE_END) {
        CHECK(item->tag == 7 && item->result == NULL);
        ended = 1;
      } else if ((item->flags & ZRC_COMPLETION_REQUEST) && (item->flags & ZRC_COMPLETION_CANCEL_REQUESTED)) {
        CHECK(request == kept && zrc_request_cancelled(request));
        cancelled = 1;
        zrc_request_release(request);
        zrc_request_release(kept); /* instead of an answer */
        zrc_array_release(array);
        zrc_store_release(store);
      } else if (item->flags & ZRC_COMPLETION_REQUEST) {
        CHECK(item->tag == 7 && request->tag == 7 && !zrc_request_cancelled(request));
        if (withheld) {
          CHECK(kept == NULL);
          kept = request;
          zrc_op_cancel(op);
        } else {
          answer_file(&h, request);
        }
      } else if (item->tag == 8) {
        CHECK(item->status == ZRC_OK && (item->flags & ZRC_COMPLETION_ARRAY));
        array = (zrc_array *)item->result;
        zrc_region region = region_of(array, &b);
        zrc_sink next = {zrc_queue_complete, queue, 9};
        EXPECT(ZRC_OK, zrc_read_async(runtime, &region, 1, NULL, &next, NULL, NULL));
      } else if (item->tag == 9) {
        CHECK(item->status == ZRC_OK);
        expect_box(&b);
        b = new_box(0, 0, 1, 1);
        zrc_region region = region_of(array, &b);
        zrc_sink last = {zrc_queue_complete, queue, 10};
        withheld = 1;
        EXPECT(ZRC_OK, zrc_read_async(runtime, &region, 1, NULL, &last, &op, NULL));
      } else {
        CHECK(item->tag == 10 && item->status == ZRC_E_CANCELLED);
        zrc_error_free(item->error);
      }
    }
  }
  CHECK(cancelled);
  zrc_op_release(op);
  free(b.data);
  zrc_queue_release(queue);
}

/* ---- what goes wrong ---- */

enum { REFUSES, MUTE, LIES, TWICE, ENDLESS };

static void misbehave(void *ctx, zrc_request *request) {
  zrc_answer answer;
  ZRC_INIT(&answer);
  if (strstr(request->key.ptr, "zarr.json") || strstr(request->key.ptr, ".z")) {
    const char *json =
        "{\"zarr_format\":3,\"node_type\":\"array\",\"shape\":[4,4],\"data_type\":\"int32\",\"fill_value\":0,"
        "\"chunk_grid\":{\"name\":\"regular\",\"configuration\":{\"chunk_shape\":[4,4]}},"
        "\"chunk_key_encoding\":{\"name\":\"default\"},\"codecs\":[{\"name\":\"bytes\","
        "\"configuration\":{\"endian\":\"little\"}}]}";
    if (strstr(request->key.ptr, ".z")) answer.status = ZRC_E_NOT_FOUND;
    answer.data = json;
    answer.nbytes = strlen(json);
    EXPECT(ZRC_OK, zrc_request_answer(request, &answer));
    return;
  }
  static char data[1 << 23];
  TAKE_OVER(ctx);
  int kind = *(int *)ctx;
  HAND_OVER(ctx);
  switch (kind) {
    case REFUSES:
      answer.status = ZRC_E_TIMEOUT;
      answer.message = "the moon is in the way";
      EXPECT(ZRC_OK, zrc_request_answer(request, &answer));
      return;
    case MUTE:
      zrc_request_release(request);
      return;
    case LIES:
      answer.data = data;
      answer.nbytes = 64;
      answer.size = 99;
      EXPECT(ZRC_OK, zrc_request_answer(request, &answer));
      return;
    case TWICE:
      answer.data = data;
      answer.nbytes = 64;
      zrc_request_retain(request);
      EXPECT(ZRC_OK, zrc_request_answer(request, &answer));
      EXPECT(ZRC_E_INVALID, zrc_request_answer(request, &answer));
      return;
    default:
      answer.data = data;
      answer.nbytes = sizeof data;
      EXPECT(ZRC_OK, zrc_request_answer(request, &answer));
  }
}

static void failures_are_clear(zrc_runtime *runtime) {
  static const struct {
    zrc_status status;
    const char *text;
  } expected[] = {{ZRC_E_TIMEOUT, "mine:bad/c/0/0: the moon is in the way"},
                  {ZRC_E_IO, "let go of the request without an answer"},
                  {ZRC_E_IO, "64 bytes where 99 were asked for"},
                  {ZRC_OK, ""},
                  {ZRC_E_CODEC, "more than the"}};
  int kind;
  zrc_store_callbacks callbacks;
  ZRC_INIT(&callbacks);
  callbacks.ctx = &kind;
  callbacks.get = misbehave;
  callbacks.url = "mine:bad";
  zrc_store *store = NULL;
  EXPECT(ZRC_OK, zrc_store_from_callbacks(runtime, &callbacks, &store, NULL));
  zrc_array *array = open_array(store, "");
  for (kind = REFUSES; kind <= ENDLESS; kind++) {
    int32_t data[16];
    uint64_t start[2] = {0, 0}, shape[2] = {4, 4};
    zrc_region region = {array, start, shape, NULL, data, sizeof data, NULL};
    HAND_OVER(&kind);
    if (expected[kind].status == ZRC_OK) EXPECT(ZRC_OK, zrc_read(runtime, &region, 1, NULL, NULL));
    else EXPECT_ERROR(expected[kind].status, expected[kind].text, zrc_read(runtime, &region, 1, NULL, &error));
    TAKE_OVER(&kind);
  }
  zrc_array_release(array);
  zrc_store_release(store);
}

static void bad_callbacks_are_refused(zrc_runtime *runtime) {
  int drops = 0;
  zrc_store *store = NULL;
  zrc_store_callbacks callbacks;
  ZRC_INIT(&callbacks);
  callbacks.ctx = &drops;
  EXPECT_ERROR(ZRC_E_INVALID, "callbacks must not be NULL", zrc_store_from_callbacks(runtime, NULL, &store, &error));
  EXPECT_ERROR(ZRC_E_INVALID, "callbacks.get must not be NULL",
               zrc_store_from_callbacks(runtime, &callbacks, &store, &error));
  callbacks.get = misbehave;
  callbacks.flags = ZRC_STORE_NO_SUFFIX;
  EXPECT_ERROR(ZRC_E_INVALID, "callbacks.size must not be NULL",
               zrc_store_from_callbacks(runtime, &callbacks, &store, &error));
  callbacks.flags = 64;
  EXPECT_ERROR(ZRC_E_INVALID, "unknown bits", zrc_store_from_callbacks(runtime, &callbacks, &store, &error));
  callbacks.flags = 0;
  callbacks.url = "no scheme";
  EXPECT_ERROR(ZRC_E_INVALID, "not a URL", zrc_store_from_callbacks(runtime, &callbacks, &store, &error));
  CHECK(store == NULL);
  EXPECT(ZRC_E_INVALID, zrc_request_answer(NULL, NULL));
  zrc_request_release(NULL);
  CHECK(zrc_request_cancelled(NULL) == 0);
}

int main(int argc, char **argv) {
  CHECK(argc > 1);
  zrc_runtime *runtime = new_runtime();
  answers_at_once_and_later(runtime, argv[1]);
  a_queue_serves_a_store(runtime, argv[1]);
  failures_are_clear(runtime);
  bad_callbacks_are_refused(runtime);
  EXPECT(ZRC_OK, zrc_runtime_shutdown(runtime, 60000));
  zrc_runtime_release(runtime);
  puts("ok");
  return 0;
}
