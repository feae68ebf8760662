/* Stores of the host's own that are written: gets, puts, lists and erasures, answered in the callback, and by another
 * thread out of a queue; and what a store without some of them, or one that says no, comes to. */
#include <pthread.h>

#include "check.h"

enum { ROWS = 95, COLUMNS = 63, CHUNKS = 90, MOST = 256 };

static const char metadata[] = METADATA("[95,63]", "{}");

/* ---- a host: values in memory ---- */

typedef struct value {
  char key[32];
  char *data;
  size_t nbytes;
} value;

typedef struct host {
  pthread_mutex_t lock;
  value values[MOST];
  size_t count;
  int puts, lists, erases, ended;
  int refuses; /* puts */
} host;

static value *find(host *h, const char *key) {
  for (size_t i = 0; i < h->count; i++)
    if (strcmp(h->values[i].key, key) == 0) return &h->values[i];
  return NULL;
}

static void set(host *h, const char *key, const void *data, size_t nbytes) {
  value *v = find(h, key);
  if (v == NULL) {
    CHECK(h->count < MOST && strlen(key) < sizeof v->key);
    v = &h->values[h->count++];
    strcpy(v->key, key);
  } else {
    free(v->data);
  }
  v->data = (char *)malloc(nbytes + 1);
  CHECK(v->data != NULL);
  memcpy(v->data, data, nbytes);
  v->nbytes = nbytes;
}

static void get(value *v, const zrc_request *request, zrc_answer *answer) {
  uint64_t from = request->offset, n = request->length;
  if (request->flags & ZRC_REQUEST_SUFFIX) from = n < v->nbytes ? v->nbytes - n : 0;
  if (from > v->nbytes) from = v->nbytes;
  if (n > v->nbytes - from) n = v->nbytes - from;
  answer->data = v->data + from;
  answer->nbytes = (size_t)n;
  answer->size = v->nbytes;
}

static void put(host *h, const zrc_request *request, zrc_answer *answer) {
  h->puts++;
  if (h->refuses) {
    answer->status = ZRC_E_IO;
    answer->message = "the shelf is full";
    return;
  }
  set(h, request->key.ptr, request->data, request->nbytes);
}

static void list(host *h, const zrc_request *request, zrc_entry *entries, zrc_answer *answer) {
  h->lists++;
  answer->entries = entries;
  for (size_t i = 0; i < h->count; i++)
    if (strncmp(h->values[i].key, request->key.ptr, request->key.len) == 0) {
      zrc_entry entry = {h->values[i].key, h->values[i].nbytes};
      entries[answer->count++] = entry;
    }
}

static void erase(host *h, value *v) {
  h->erases++;
  free(v->data);
  *v = h->values[--h->count];
}

static void serve(host *h, zrc_request *request) {
  zrc_answer answer;
  zrc_entry entries[MOST];
  ZRC_INIT(&answer);
  pthread_mutex_lock(&h->lock);
  value *v = find(h, request->key.ptr);
  if (request->kind == ZRC_REQUEST_PUT) put(h, request, &answer);
  else if (request->kind == ZRC_REQUEST_LIST) list(h, request, entries, &answer);
  else if (v == NULL) answer.status = ZRC_E_NOT_FOUND;
  else if (request->kind == ZRC_REQUEST_GET) get(v, request, &answer);
  else if (request->kind == ZRC_REQUEST_SIZE) answer.size = v->nbytes;
  else erase(h, v);
  EXPECT(ZRC_OK, zrc_request_answer(request, &answer));
  pthread_mutex_unlock(&h->lock);
}

static void at_once(void *ctx, zrc_request *request) {
  TAKE_OVER(ctx);
  serve((host *)ctx, request);
  HAND_OVER(ctx);
}

static void drop(void *ctx) {
  host *h = (host *)ctx;
  TAKE_OVER(h);
  pthread_mutex_lock(&h->lock);
  h->ended = 1;
  pthread_mutex_unlock(&h->lock);
}

/* A thread of the host's that answers what comes out of a queue, until the store has ended. */
typedef struct server {
  host *h;
  zrc_queue *queue;
} server;

static void *serve_queue(void *ctx) {
  server *s = (server *)ctx;
  for (;;) {
    zrc_completion items[4];
    ZRC_INIT(&items[0]);
    EXPECT(ZRC_OK, zrc_queue_wait(s->queue, UINT32_MAX));
    for (size_t i = 0, n = zrc_queue_drain(s->queue, items, 4); i < n; i++) {
      if (items[i].flags & ZRC_COMPLETION_STORE_END) return NULL;
      CHECK(items[i].flags & ZRC_COMPLETION_REQUEST);
      serve(s->h, (zrc_request *)items[i].result);
    }
  }
}

static void new_host(host *h) {
  memset(h, 0, sizeof *h);
  CHECK(pthread_mutex_init(&h->lock, NULL) == 0);
}

static void end_host(host *h) {
  for (int ended = 0; !ended;) { /* a thread of the library is about to say so */
    pthread_mutex_lock(&h->lock);
    ended = h->ended;
    pthread_mutex_unlock(&h->lock);
  }
  for (size_t i = 0; i < h->count; i++) free(h->values[i].data);
  pthread_mutex_destroy(&h->lock);
}

/* ---- every kind of write ---- */

/* How many values there are under `prefix`. */
static size_t kept(host *h, const char *prefix) {
  size_t n = 0;
  pthread_mutex_lock(&h->lock);
  for (size_t i = 0; i < h->count; i++) n += strncmp(h->values[i].key, prefix, strlen(prefix)) == 0;
  pthread_mutex_unlock(&h->lock);
  return n;
}

static void expect_counts(host *h, int puts, int lists, int erases) {
  pthread_mutex_lock(&h->lock);
  CHECK(h->puts == puts && h->lists == lists && h->erases == erases);
  h->puts = h->lists = h->erases = 0;
  pthread_mutex_unlock(&h->lock);
}

static void write_box(zrc_runtime *runtime, const zrc_array *array, box b) {
  zrc_region region = region_of(array, &b);
  zrc_error *error = NULL;
  zrc_write(runtime, &region, 1, NULL, &error);
  stop_on(error);
  free(b.data);
}

static void expect_read(zrc_runtime *runtime, const zrc_array *array, box b) {
  zrc_region region = region_of(array, &b);
  EXPECT(ZRC_OK, zrc_read(runtime, &region, 1, NULL, NULL));
  expect_box(&b);
}

static void make_write_and_erase(zrc_runtime *runtime, zrc_store *store, host *h) {
  zrc_array *array = NULL, *other = NULL;
  zrc_error *error = NULL;
  pthread_mutex_lock(&h->lock);
  set(h, "ab/c/0/0", "a neighbour", 11);
  pthread_mutex_unlock(&h->lock);
  zrc_array_create(store, "a", metadata, 0, &array, &error);
  stop_on(error);
  expect_counts(h, 1, 0, 0);
  write_box(runtime, array, filled_box(0, 0, ROWS, COLUMNS));
  expect_counts(h, CHUNKS, 0, 0);
  write_box(runtime, array, filled_box(5, 5, 10, 7)); /* parts of four chunks */
  expect_counts(h, 4, 0, 0);
  expect_read(runtime, array, new_box(0, 0, ROWS, COLUMNS));

  uint64_t index[2] = {1, 2};
  for (int twice = 0; twice < 2; twice++) EXPECT(ZRC_OK, zrc_erase_chunk(array, index, 0, NULL));
  expect_counts(h, 0, 0, 1);
  int32_t element = -1;
  uint64_t start[2] = {10, 14}, shape[2] = {1, 1};
  zrc_region region = {array, start, shape, NULL, &element, sizeof element, NULL};
  EXPECT(ZRC_OK, zrc_read(runtime, &region, 1, NULL, NULL));
  CHECK(element == 0 && kept(h, "a/c/") == CHUNKS - 1);
  EXPECT(ZRC_OK, zrc_write_encoded_chunk(array, index, "abc", 3, 0, NULL));
  expect_counts(h, 1, 0, 0);
  CHECK(kept(h, "a/c/") == CHUNKS);

  EXPECT(ZRC_OK, zrc_array_update(array, METADATA("[20,63]", "{}"), 0, &other, NULL)); /* two rows of chunks stay */
  expect_counts(h, 1, 1, CHUNKS - 18);
  zrc_array_release(other);
  other = NULL;
  EXPECT_ERROR(ZRC_E_EXISTS, "mine:shelf/a", zrc_array_create(store, "a", metadata, 0, &other, &error));
  EXPECT(ZRC_OK, zrc_array_create(store, "a", metadata, ZRC_CREATE_OVERWRITE, &other, NULL));
  expect_counts(h, 1, 1, 18 + 1); /* and the metadata */
  CHECK(kept(h, "a/") == 1 && kept(h, "ab/") == 1);

  pthread_mutex_lock(&h->lock);
  h->refuses = 1;
  pthread_mutex_unlock(&h->lock);
  box b = filled_box(0, 0, 1, 1);
  b.data[0] = 9;
  region = region_of(other, &b);
  EXPECT_ERROR(ZRC_E_IO, "the shelf is full", zrc_write(runtime, &region, 1, NULL, &error));
  free(b.data);
  zrc_array_release(array);
  zrc_array_release(other);
}

static zrc_store_callbacks callbacks_of(zrc_request_fn fn, void *ctx) {
  zrc_store_callbacks callbacks;
  ZRC_INIT(&callbacks);
  callbacks.ctx = ctx;
  callbacks.get = callbacks.size = callbacks.list = callbacks.put = callbacks.erase = fn;
  callbacks.url = "mine:shelf";
  return callbacks;
}

static zrc_store *store_of(zrc_runtime *runtime, const zrc_store_callbacks *callbacks) {
  zrc_store *store = NULL;
  HAND_OVER(callbacks->ctx);
  EXPECT(ZRC_OK, zrc_store_from_callbacks(runtime, callbacks, &store, NULL));
  return store;
}

static void answers_at_once(zrc_runtime *runtime) {
  host h;
  new_host(&h);
  zrc_store_callbacks callbacks = callbacks_of(at_once, &h);
  callbacks.drop = drop;
  zrc_store *store = store_of(runtime, &callbacks);
  make_write_and_erase(runtime, store, &h);
  zrc_store_release(store);
  end_host(&h);
}

static void another_thread_answers(zrc_runtime *runtime) {
  host h;
  new_host(&h);
  server s = {&h, NULL};
  pthread_t thread;
  EXPECT(ZRC_OK, zrc_queue_new(&s.queue, NULL));
  zrc_store_callbacks callbacks = callbacks_of(zrc_queue_request, s.queue);
  zrc_store *store = store_of(runtime, &callbacks);
  CHECK(pthread_create(&thread, NULL, serve_queue, &s) == 0);
  make_write_and_erase(runtime, store, &h);
  zrc_store_release(store);
  pthread_join(thread, NULL);
  zrc_queue_release(s.queue);
  h.ended = 1;
  end_host(&h);
}

/* ---- what is refused ---- */

enum { NO_PUT, NO_ERASE, NO_LIST, ALL };

static void what_is_missing_is_unsupported(zrc_runtime *runtime) {
  uint64_t index[2] = {0, 0};
  for (int without = NO_PUT; without <= ALL; without++) {
    host h;
    new_host(&h);
    set(&h, "a/zarr.json", metadata, strlen(metadata));
    set(&h, "a/c/0/0", "abc", 3);
    zrc_store_callbacks callbacks = callbacks_of(at_once, &h);
    callbacks.drop = drop;
    if (without == NO_PUT) callbacks.put = NULL;
    if (without == NO_ERASE) callbacks.erase = NULL;
    if (without == NO_LIST) callbacks.list = NULL;
    zrc_store *store = store_of(runtime, &callbacks);
    zrc_array *array = open_array(store, "a"), *made = NULL;
    box b = filled_box(1, 1, 10, 7); /* all that is changed in part, but for the broken chunk */
    zrc_region region = region_of(array, &b);
    zrc_io_options options;
    ZRC_INIT(&options);
    options.flags = ZRC_IO_IF_UNCHANGED;
    if (without == NO_PUT) {
      EXPECT_ERROR(ZRC_E_UNSUPPORTED, "no \"put\"", zrc_array_create(store, "b", metadata, 0, &made, &error));
      EXPECT_ERROR(ZRC_E_UNSUPPORTED, "no \"put\"",
                   zrc_write_encoded_chunk(array, index, "abc", 3, 0, &error));
    } else if (without == NO_ERASE) {
      EXPECT_ERROR(ZRC_E_UNSUPPORTED, "no \"erase\"", zrc_erase_chunk(array, index, 0, &error));
    } else if (without == NO_LIST) {
      EXPECT_ERROR(ZRC_E_UNSUPPORTED, "no \"list\"",
                   zrc_array_create(store, "a", metadata, ZRC_CREATE_OVERWRITE, &made, &error));
    } else {
      EXPECT(ZRC_OK, zrc_erase_chunk(array, index, 0, NULL));
      EXPECT_ERROR(ZRC_E_UNSUPPORTED, "condition", zrc_write(runtime, &region, 1, &options, &error));
    }
    CHECK(made == NULL && kept(&h, "") == (without == ALL ? 1 : 2));
    free(b.data);
    zrc_array_release(array);
    zrc_store_release(store);
    end_host(&h);
  }
}

int main(int argc, char **argv) {
  CHECK(argc == 2 && argv[1] != NULL); /* as all of these programs; it needs no folder */
  zrc_runtime *runtime = new_runtime();
  answers_at_once(runtime);
  another_thread_answers(runtime);
  what_is_missing_is_unsupported(runtime);
  EXPECT(ZRC_OK, zrc_runtime_shutdown(runtime, 60000));
  zrc_runtime_release(runtime);
  puts("ok");
  return 0;
}
