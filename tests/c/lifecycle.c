/* How operations end: once, whatever is cancelled, released or shut down meanwhile, and from whichever thread. */
#include <pthread.h>
#include <stdatomic.h>

#include "check.h"

/* ---- a read that takes long: every 65536th byte of 400 chunks that are slow to decode ---- */

enum { SLOW_ROWS = 400, SLOW_COLUMNS = 16, SLOW_STRIDE = 1 << 16 };

static const uint64_t slow_start[2] = {0, 0}, slow_shape[2] = {SLOW_ROWS, SLOW_COLUMNS};
static const int64_t slow_step[2] = {1, SLOW_STRIDE};

static zrc_region slow_region(const zrc_array *slow, unsigned char *data) {
  zrc_region region = {slow, slow_start, slow_shape, slow_step, data, SLOW_ROWS * SLOW_COLUMNS, NULL};
  return region;
}

static zrc_op *start_slow(zrc_runtime *runtime, const zrc_array *slow, unsigned char *data, const zrc_sink *sink) {
  zrc_region region = slow_region(slow, data);
  zrc_op *op = NULL;
  EXPECT(ZRC_OK, zrc_read_async(runtime, &region, 1, NULL, sink, &op, NULL));
  return op;
}

static void wait_for_progress(zrc_op *op) {
  zrc_op_stats stats;
  ZRC_INIT(&stats);
  do EXPECT(ZRC_OK, zrc_op_get_stats(op, &stats));
  while (stats.objects_done == 0);
  CHECK(stats.objects_total == SLOW_ROWS && stats.objects_done < SLOW_ROWS);
}

/* ---- sinks ---- */

static zrc_queue *new_queue(void) {
  zrc_queue *queue = NULL;
  EXPECT(ZRC_OK, zrc_queue_new(&queue, NULL));
  return queue;
}

static zrc_completion take_one(zrc_queue *queue) {
  zrc_completion completion;
  ZRC_INIT(&completion);
  EXPECT(ZRC_OK, zrc_queue_wait(queue, UINT32_MAX));
  CHECK(zrc_queue_drain(queue, &completion, 1) == 1);
  CHECK(completion.flags & ZRC_COMPLETION_FINAL);
  return completion;
}

/* ---- tests ---- */

typedef struct world {
  zrc_runtime *runtime;
  zrc_store *store;
  zrc_array *plain, *slow;
} world;

static world open_world(const char *folder) {
  world w;
  w.runtime = new_runtime();
  w.store = open_store(w.runtime, folder);
  w.plain = open_array(w.store, "plain");
  w.slow = open_array(w.store, "slow");
  return w;
}

static void close_world(world *w) {
  zrc_array_release(w->plain);
  zrc_array_release(w->slow);
  zrc_store_release(w->store);
  EXPECT(ZRC_OK, zrc_runtime_shutdown(w->runtime, 60000));
  zrc_runtime_release(w->runtime);
}

static void *cancel(void *op) {
  wait_for_progress((zrc_op *)op);
  zrc_op_cancel((zrc_op *)op);
  zrc_op_cancel((zrc_op *)op);
  return NULL;
}

static void cancel_from_another_thread(world *w) {
  static unsigned char data[SLOW_ROWS * SLOW_COLUMNS];
  zrc_queue *queue = new_queue();
  zrc_sink sink = {zrc_queue_complete, queue, 1};
  zrc_op *op = start_slow(w->runtime, w->slow, data, &sink);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, cancel, op) == 0);
  zrc_completion completion = take_one(queue);
  CHECK(completion.status == ZRC_E_CANCELLED && (completion.flags & ZRC_COMPLETION_CANCEL_REQUESTED));
  expect_error(ZRC_E_CANCELLED, "cancelled", completion.error, "the slow read");
  memset(data, 0xff, sizeof data); /* it is ours again */
  pthread_join(thread, NULL);

  zrc_completion again;
  ZRC_INIT(&again);
  EXPECT(ZRC_OK, zrc_op_wait(op, UINT32_MAX, &again)); /* it had a sink: numbers only */
  CHECK(again.status == ZRC_E_CANCELLED && again.error == NULL && again.flags == completion.flags);
  zrc_op_release(op);
  CHECK(zrc_queue_drain(queue, &again, 1) == 0);
  zrc_queue_release(queue);
}

static void a_wait_can_time_out(world *w) {
  static unsigned char data[SLOW_ROWS * SLOW_COLUMNS];
  zrc_op *op = start_slow(w->runtime, w->slow, data, NULL);
  zrc_completion completion;
  ZRC_INIT(&completion);
  completion.tag = 77;
  EXPECT(ZRC_E_TIMEOUT, zrc_op_wait(op, 0, &completion));
  EXPECT(ZRC_E_TIMEOUT, zrc_op_wait(op, 1, NULL));
  CHECK(completion.tag == 77); /* written on success only */
  zrc_op_cancel(op);
  EXPECT(ZRC_OK, zrc_op_wait(op, UINT32_MAX, NULL));
  /* Errors go to everyone who asks. */
  for (int i = 0; i < 2; i++) {
    EXPECT(ZRC_OK, zrc_op_wait(op, 0, &completion));
    CHECK(completion.status == ZRC_E_CANCELLED);
    expect_error(ZRC_E_CANCELLED, "cancelled", completion.error, "zrc_op_wait");
  }
  zrc_op_release(op);
}

static void the_first_who_asks_gets_the_result(world *w) {
  zrc_op *op = NULL;
  zrc_completion first, second;
  EXPECT(ZRC_OK, zrc_array_open_async(w->store, "plain", NULL, NULL, &op, NULL));
  EXPECT(ZRC_OK, zrc_op_wait(op, UINT32_MAX, NULL)); /* does not ask */
  ZRC_INIT(&first);
  ZRC_INIT(&second);
  EXPECT(ZRC_OK, zrc_op_wait(op, UINT32_MAX, &first));
  EXPECT(ZRC_OK, zrc_op_wait(op, UINT32_MAX, &second));
  CHECK((first.flags & ZRC_COMPLETION_ARRAY) && first.result != NULL);
  CHECK(second.status == ZRC_OK && second.result == NULL);
  zrc_array_release((zrc_array *)first.result);
  zrc_op_release(op);

  EXPECT(ZRC_OK, zrc_array_open_async(w->store, "plain", NULL, NULL, &op, NULL));
  EXPECT(ZRC_OK, zrc_op_wait(op, UINT32_MAX, NULL));
  zrc_op_release(op); /* nobody asked: the library frees it */
  EXPECT(ZRC_OK, zrc_array_open_async(w->store, "plain", NULL, NULL, NULL, NULL)); /* nobody can */
}

/* The order of releases is free: operations keep what they need. */
static void release_all_first(const char *folder) {
  world w = open_world(folder);
  zrc_queue *queue = new_queue();
  zrc_sink sink = {zrc_queue_complete, queue, 5};
  box whole = new_box(0, 0, 95, 63);
  zrc_region region = region_of(w.plain, &whole);
  zrc_op *op = NULL;
  EXPECT(ZRC_OK, zrc_read_async(w.runtime, &region, 1, NULL, &sink, &op, NULL));
  zrc_runtime_release(w.runtime);
  zrc_store_release(w.store);
  zrc_array_release(w.slow);
  zrc_array_release(w.plain);
  zrc_op_retain(op);
  zrc_op_release(op);
  zrc_op_release(op);
  zrc_completion completion = take_one(queue);
  CHECK(completion.status == ZRC_OK && completion.tag == 5);
  expect_box(&whole);
  zrc_queue_release(queue);
}

/* The queue's owner lets go before the completions come; they are freed with the queue. */
static void release_the_queue_first(world *w) {
  static unsigned char data[SLOW_ROWS * SLOW_COLUMNS];
  static const char *paths[] = {"plain", "nowhere", "plain"};
  zrc_queue *queue = new_queue();
  intptr_t fd;
  EXPECT(ZRC_OK, zrc_queue_fd(queue, &fd, NULL));
  zrc_sink sink = {zrc_queue_complete, queue, 0};
  zrc_op *slow = start_slow(w->runtime, w->slow, data, &sink), *ops[3];
  for (int i = 0; i < 3; i++)
    EXPECT(ZRC_OK, zrc_array_open_async(w->store, paths[i], NULL, &sink, &ops[i], NULL));
  zrc_queue_release(queue);
  zrc_op_cancel(slow);
  EXPECT(ZRC_OK, zrc_op_wait(slow, UINT32_MAX, NULL));
  zrc_op_release(slow);
  for (int i = 0; i < 3; i++) {
    EXPECT(ZRC_OK, zrc_op_wait(ops[i], UINT32_MAX, NULL));
    zrc_op_release(ops[i]);
  }
}

typedef struct chain { /* a callback that submits the next read, until all bands are read */
  world *w;
  zrc_queue *done;
  box bands[5];
  atomic_int next;
} chain;

static void submit_next(void *ctx, const zrc_completion *completion) {
  chain *c = (chain *)ctx;
  TAKE_OVER(c);
  CHECK(completion == NULL || completion->status == ZRC_OK);
  int i = atomic_fetch_add(&c->next, 1);
  if (i == 5) {
    zrc_queue *done = c->done;
    HAND_OVER(c);
    zrc_queue_complete(done, completion); /* a queue takes completions from anybody */
    return;
  }
  zrc_region region = region_of(c->w->plain, &c->bands[i]);
  zrc_sink sink = {submit_next, c, (uint64_t)i};
  zrc_runtime *runtime = c->w->runtime;
  HAND_OVER(c);
  EXPECT(ZRC_OK, zrc_read_async(runtime, &region, 1, NULL, &sink, NULL, NULL));
}

static void submit_from_a_callback(world *w) {
  chain c;
  c.w = w;
  c.done = new_queue();
  atomic_init(&c.next, 0);
  for (uint64_t i = 0; i < 5; i++) c.bands[i] = new_box(19 * i, 0, 19, 63);
  submit_next(&c, NULL);
  zrc_completion last = take_one(c.done);
  TAKE_OVER(&c);
  CHECK(last.tag == 4);
  for (int i = 0; i < 5; i++) expect_box(&c.bands[i]);
  zrc_queue_release(c.done);
}

/* ---- several regions ---- */

static void one_status_for_each_region(world *w) {
  zrc_array *broken = open_array(w->store, "broken"); /* whose chunk (1, 1) is cut short */
  box good = new_box(0, 0, 30, 30), bad = new_box(5, 5, 10, 10), other = new_box(0, 0, 10, 7);
  zrc_region regions[3] = {region_of(w->plain, &good), region_of(broken, &bad), region_of(broken, &other)};
  zrc_status statuses[3] = {-1, -1, -1};
  zrc_io_options options;
  ZRC_INIT(&options);
  options.statuses = statuses;
  zrc_error *error = NULL;
  EXPECT(ZRC_E_CODEC, zrc_read(w->runtime, regions, 3, &options, &error));
  CHECK(equals(zrc_error_key(error), "broken/c/1/1"));
  expect_error(ZRC_E_CODEC, "region 1", error, "zrc_read");
  CHECK(statuses[0] == ZRC_OK && statuses[1] == ZRC_E_CODEC && statuses[2] == ZRC_OK);
  expect_box(&good);
  expect_box(&other);
  free(bad.data);
  zrc_array_release(broken);
}

/* `slow_broken` is `slow` with a first chunk that fails at once. */
static void fail_fast_stops_the_others(world *w) {
  static unsigned char data[SLOW_ROWS * SLOW_COLUMNS];
  static const uint64_t second_row[2] = {1, 0};
  static const uint64_t one_row[2] = {1, SLOW_COLUMNS}, other_rows[2] = {SLOW_ROWS - 1, SLOW_COLUMNS};
  zrc_array *broken = open_array(w->store, "slow_broken");
  zrc_region regions[2] = {slow_region(broken, data), slow_region(broken, data + SLOW_COLUMNS)};
  regions[0].shape = one_row, regions[0].nbytes = SLOW_COLUMNS;
  regions[1].start = second_row, regions[1].shape = other_rows, regions[1].nbytes -= SLOW_COLUMNS;
  zrc_status statuses[2] = {-1, -1};
  zrc_io_options options;
  ZRC_INIT(&options);
  options.statuses = statuses;
  options.flags = ZRC_IO_FAIL_FAST;
  EXPECT_ERROR(ZRC_E_CODEC, "slow_broken/c/0/0", zrc_read(w->runtime, regions, 2, &options, &error));
  CHECK(statuses[0] == ZRC_E_CODEC && statuses[1] == ZRC_E_CANCELLED);
  zrc_array_release(broken);
}

static void a_chunk_that_two_regions_touch_is_decoded_once(world *w) {
  box left = new_box(0, 0, 10, 3), right = new_box(0, 3, 10, 4);
  zrc_region regions[2] = {region_of(w->plain, &left), region_of(w->plain, &right)};
  zrc_op *op = NULL;
  EXPECT(ZRC_OK, zrc_read_async(w->runtime, regions, 2, NULL, NULL, &op, NULL));
  zrc_completion completion;
  ZRC_INIT(&completion);
  EXPECT(ZRC_OK, zrc_op_wait(op, UINT32_MAX, &completion));
  zrc_op_stats stats;
  ZRC_INIT(&stats);
  EXPECT(ZRC_OK, zrc_op_get_stats(op, &stats));
  CHECK(stats.chunks_decoded == 1 && stats.objects_total == 1);
  CHECK(completion.bytes == 280 && stats.bytes_placed == 280 && stats.bytes_decoded == 280);
  zrc_op_release(op);
  expect_box(&left);
  expect_box(&right);
}

/* ---- threads ---- */

enum { THREADS = 4, READS = 25 };

typedef struct submitter {
  world *w;
  zrc_queue *queue;
  uint64_t number;
  box boxes[READS];
} submitter;

static void *submit_many(void *argument) {
  submitter *s = (submitter *)argument;
  for (uint64_t i = 0; i < READS; i++) {
    s->boxes[i] = new_box(3 * i, 2 * i, 7, 5);
    zrc_region region = region_of(s->w->plain, &s->boxes[i]);
    zrc_sink sink = {zrc_queue_complete, s->queue, s->number * READS + i};
    EXPECT(ZRC_OK, zrc_read_async(s->w->runtime, &region, 1, NULL, &sink, NULL, NULL));
  }
  return NULL;
}

static void many_threads_and_one_queue(world *w) {
  static submitter submitters[THREADS];
  zrc_queue *queue = new_queue();
  pthread_t threads[THREADS];
  for (int t = 0; t < THREADS; t++) {
    submitters[t].w = w, submitters[t].queue = queue, submitters[t].number = (uint64_t)t;
    CHECK(pthread_create(&threads[t], NULL, submit_many, &submitters[t]) == 0);
  }
  char seen[THREADS * READS] = {0};
  for (int left = THREADS * READS; left > 0;) {
    EXPECT(ZRC_OK, zrc_queue_wait(queue, UINT32_MAX));
    zrc_completion some[16];
    some[0].struct_size = sizeof some[0];
    for (size_t i = zrc_queue_drain(queue, some, 16); i-- > 0; left--) {
      CHECK(some[i].status == ZRC_OK && some[i].tag < sizeof seen && !seen[some[i].tag]);
      seen[some[i].tag] = 1;
    }
  }
  for (int t = 0; t < THREADS; t++) {
    pthread_join(threads[t], NULL);
    for (int i = 0; i < READS; i++) expect_box(&submitters[t].boxes[i]);
  }
  zrc_queue_release(queue);
}

static void *wake_later(void *queue) {
  zrc_queue_wake((zrc_queue *)queue);
  return NULL;
}

static void a_wake_ends_one_wait(void) {
  zrc_queue *queue = new_queue();
  EXPECT(ZRC_E_TIMEOUT, zrc_queue_wait(queue, 0));
  zrc_queue_wake(queue);
  EXPECT(ZRC_OK, zrc_queue_wait(queue, UINT32_MAX));
  EXPECT(ZRC_E_TIMEOUT, zrc_queue_wait(queue, 1));
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, wake_later, queue) == 0);
  EXPECT(ZRC_OK, zrc_queue_wait(queue, UINT32_MAX));
  pthread_join(thread, NULL);
  zrc_queue_release(queue);
}

/* ---- shutdown ---- */

static void shutdown_ends_what_is_under_way(const char *folder) {
  static unsigned char data[SLOW_ROWS * SLOW_COLUMNS];
  world w = open_world(folder);
  zrc_queue *queue = new_queue();
  zrc_sink sink = {zrc_queue_complete, queue, 9};
  zrc_op *op = start_slow(w.runtime, w.slow, data, &sink);
  wait_for_progress(op);
  EXPECT(ZRC_OK, zrc_runtime_shutdown(w.runtime, 60000));
  zrc_completion completion;
  ZRC_INIT(&completion);
  CHECK(zrc_queue_drain(queue, &completion, 1) == 1); /* there already */
  CHECK(completion.tag == 9);
  expect_error(ZRC_E_SHUTDOWN, "shut down", completion.error, "the slow read");
  EXPECT(ZRC_OK, zrc_op_wait(op, 0, NULL));
  zrc_op_release(op);

  zrc_array *array = NULL;
  zrc_buf *buf = NULL;
  uint64_t index[2] = {0, 0};
  zrc_region region = slow_region(w.slow, data);
  EXPECT_ERROR(ZRC_E_SHUTDOWN, "shut down", zrc_read(w.runtime, &region, 1, NULL, &error));
  EXPECT_ERROR(ZRC_E_SHUTDOWN, "shut down", zrc_read_async(w.runtime, &region, 1, NULL, &sink, NULL, &error));
  EXPECT_ERROR(ZRC_E_SHUTDOWN, "shut down", zrc_array_open(w.store, "plain", NULL, &array, &error));
  EXPECT_ERROR(ZRC_E_SHUTDOWN, "shut down", zrc_read_encoded_chunk(w.slow, index, 0, &buf, &error));
  EXPECT_ERROR(ZRC_E_SHUTDOWN, "shut down", zrc_erase_chunk(w.slow, index, 0, &error));
  CHECK(zrc_queue_drain(queue, &completion, 1) == 0); /* a refused operation has no completion */
  EXPECT(ZRC_OK, zrc_runtime_shutdown(w.runtime, 0)); /* and starts no thread that would have to be waited for */
  zrc_queue_release(queue);
  close_world(&w); /* shuts down once more */
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  world w = open_world(argv[1]);
  cancel_from_another_thread(&w);
  a_wait_can_time_out(&w);
  the_first_who_asks_gets_the_result(&w);
  release_the_queue_first(&w);
  submit_from_a_callback(&w);
  one_status_for_each_region(&w);
  fail_fast_stops_the_others(&w);
  a_chunk_that_two_regions_touch_is_decoded_once(&w);
  many_threads_and_one_queue(&w);
  a_wake_ends_one_wait();
  close_world(&w);
  release_all_first(argv[1]);
  shutdown_ends_what_is_under_way(argv[1]);
  puts("ok");
  return 0;
}
