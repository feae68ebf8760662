/* Valid calls in every order, from several threads:  random_calls FOLDER SECONDS SEED
 *
 * An episode is a runtime, and threads that each do what a random number says: open, read and write by callback, by a
 * queue or to be waited for; cancel; release in any order; submit from callbacks; shut down at any moment. It ends when
 * every operation has had its one completion, and every store of callbacks its one end. Run it under valgrind or a
 * sanitizer.
 *
 * What is written is determined: in the array `shared` each element is that of all test arrays, or the fill value,
 * whoever writes, erases and cuts it; of the array `own` each thread has columns, in chunks in common with others. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

enum { THREADS = 4, SLOTS = 16, STEPS = 150, CHUNK_ROWS = 10, CHUNK_COLUMNS = 7, OWN_ROWS = 40, OWN_COLUMNS = 9 };

/* What an array that is made is, and what `shared` becomes meanwhile: the second cuts most of its chunks off. */
static const char *const documents[] = {METADATA("[95,63]", "{}"), METADATA("[12,63]", "{\"a\":1}")};

enum { READ, WRITE, WRITE_CHUNK, ERASE_CHUNK, CREATE, UPDATE, KINDS };

typedef struct episode {
  zrc_runtime *runtime;
  zrc_queue *queue;
  zrc_array *arrays[3], *shared, *own;
  zrc_store *scratch;
  atomic_int submitted, completed, queued, drops, threads;
  uint64_t seed;
} episode;

/* One operation: its memory lives until its completion. */
typedef struct job {
  episode *e;
  zrc_array *array; /* a reference of its own, for what its callback submits */
  int kind;
  int generation;
  int finals;
  int32_t data[CHUNK_ROWS * CHUNK_COLUMNS];
  uint64_t start[2], shape[2];
  zrc_io_options options;
  char path[16];
} job;

static uint64_t next(uint64_t *state) { /* xorshift */
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

static int allowed(zrc_status status) {
  return status == ZRC_OK || status == ZRC_E_CANCELLED || status == ZRC_E_SHUTDOWN;
}

static zrc_region region_of_job(job *j) {
  zrc_region region = {j->array, j->start, j->shape, NULL, j->data, (size_t)(j->shape[0] * j->shape[1]) * 4, NULL};
  return region;
}

static zrc_status submit(job *j, const zrc_sink *sink, zrc_op **op) {
  zrc_region region = region_of_job(j);
  uint64_t index[2] = {j->start[0] / CHUNK_ROWS, j->start[1] / CHUNK_COLUMNS};
  const char *document = documents[j->start[0] % 2];
  episode *e = j->e;
  zrc_array *array = j->array;
  int kind = j->kind;
  zrc_status status;
  atomic_fetch_add(&e->submitted, 1);
  HAND_OVER(j); /* from here on it is the completion's */
  switch (kind) {
    case READ:
      status = zrc_read_async(e->runtime, &region, 1, NULL, sink, op, NULL);
      break;
    case WRITE:
      status = zrc_write_async(e->runtime, &region, 1, &j->options, sink, op, NULL);
      break;
    case WRITE_CHUNK:
      status = zrc_write_encoded_chunk_async(array, index, j->data, region.nbytes, 0, sink, op, NULL);
      break;
    case ERASE_CHUNK:
      status = zrc_erase_chunk_async(array, index, 0, sink, op, NULL);
      break;
    case CREATE:
      status = zrc_array_create_async(e->scratch, j->path, document, ZRC_CREATE_OVERWRITE, sink, op, NULL);
      break;
    default:
      status = zrc_array_update_async(array, document, 0, sink, op, NULL);
  }
  CHECK(status == ZRC_OK || status == ZRC_E_SHUTDOWN);
  if (status != ZRC_OK) atomic_fetch_sub(&e->submitted, 1);
  return status;
}

static void end_job(job *j) {
  zrc_array_release(j->array);
  free(j);
}

/* What was read, and what was written: nobody may have changed it. */
static void expect_data(const job *j) {
  int filled = j->kind == READ && j->array == j->e->shared;
  for (uint64_t i = 0; i < j->shape[0]; i++)
    for (uint64_t k = 0; k < j->shape[1]; k++) {
      int32_t got = j->data[i * j->shape[1] + k];
      CHECK(got == (int32_t)(1000 * (j->start[0] + i) + j->start[1] + k) || (filled && got == 0));
    }
}

static void finish(job *j, const zrc_completion *done) {
  TAKE_OVER(j);
  CHECK(++j->finals == 1);
  if (!allowed(done->status)) stop_on(done->error);
  CHECK(done->flags & ZRC_COMPLETION_FINAL);
  CHECK((done->status == ZRC_OK) == (done->error == NULL));
  CHECK((done->result != NULL) == (done->status == ZRC_OK && j->kind >= CREATE));
  CHECK((done->result != NULL) == ((done->flags & ZRC_COMPLETION_ARRAY) != 0));
  zrc_error_free(done->error);
  zrc_array_release((zrc_array *)done->result);
  if (done->status == ZRC_OK || j->kind != READ) expect_data(j);
}

/* A callback may submit, cancel and release. */
static void on_complete(void *ctx, const zrc_completion *done) {
  job *j = (job *)ctx;
  finish(j, done);
  episode *e = j->e;
  zrc_op *op = NULL;
  zrc_sink again = {on_complete, j, 0};
  if (done->status == ZRC_OK && j->generation-- > 0) {
    j->finals = 0;
    int cancels = j->generation & 1;
    if (submit(j, &again, cancels ? &op : NULL) == ZRC_OK) {
      if (cancels) zrc_op_cancel(op); /* `j` may be gone by now */
      zrc_op_release(op);
      atomic_fetch_add(&e->completed, 1);
      return;
    }
  }
  end_job(j);
  atomic_fetch_add(&e->completed, 1);
}

/* Three of five are reads. */
static job *new_job(episode *e, uint64_t *random) {
  job *j = (job *)calloc(1, sizeof *j);
  CHECK(j != NULL);
  uint64_t which = next(random) % 4;
  j->e = e;
  j->kind = next(random) % 5 < 3 ? READ : (int)(next(random) % KINDS);
  j->array = j->kind == READ && which < 3 ? e->arrays[which] : e->shared;
  zrc_array_retain(j->array);
  for (int d = 0; d < 2; d++) {
    j->start[d] = next(random) % 30;
    j->shape[d] = next(random) % 9;
  }
  if (j->kind == WRITE_CHUNK) { /* as stored: the whole chunk */
    j->start[0] -= j->start[0] % CHUNK_ROWS, j->start[1] -= j->start[1] % CHUNK_COLUMNS;
    j->shape[0] = CHUNK_ROWS, j->shape[1] = CHUNK_COLUMNS;
  }
  ZRC_INIT(&j->options);
  j->options.flags = next(random) % 2 ? 0 : next(random) % 2 ? ZRC_IO_WRITE_EMPTY : ZRC_IO_NO_FAST_PATH;
  snprintf(j->path, sizeof j->path, "made/%d", (int)(which % 2));
  if (j->kind != READ)
    for (uint64_t i = 0; i < j->shape[0] * j->shape[1]; i++)
      j->data[i] = (int32_t)(1000 * (j->start[0] + i / j->shape[1]) + j->start[1] + i % j->shape[1]);
  return j;
}

static void drain(episode *e) {
  zrc_completion items[5];
  ZRC_INIT(&items[0]);
  for (size_t i = 0, n = zrc_queue_drain(e->queue, items, 5); i < n; i++) {
    job *j = (job *)(uintptr_t)items[i].tag;
    finish(j, &items[i]);
    end_job(j);
    atomic_fetch_add(&e->completed, 1);
    atomic_fetch_sub(&e->queued, 1);
  }
}

static void wait_and_forget(zrc_op *op, job *j, uint64_t *random) {
  zrc_completion done;
  ZRC_INIT(&done);
  if (next(random) % 2) zrc_op_cancel(op);
  while (zrc_op_wait(op, (uint32_t)(next(random) % 3), &done) == ZRC_E_TIMEOUT) {
  }
  finish(j, &done);
  zrc_op_release(op);
  atomic_fetch_add(&j->e->completed, 1);
  end_job(j);
}

static void opens(episode *e, uint64_t *random) {
  zrc_store *store = zrc_array_store(e->arrays[next(random) % 3]);
  zrc_array *array = NULL;
  zrc_op *op = NULL;
  switch (next(random) % 3) {
    case 0:
      CHECK(allowed(zrc_array_open(store, "", NULL, &array, NULL)) || array == NULL);
      break;
    case 1: /* nobody asks for the result */
      (void)zrc_array_open_async(store, "nothing", NULL, NULL, next(random) % 2 ? &op : NULL, NULL);
      break;
    default:
      if (zrc_array_open_async(store, "", NULL, NULL, &op, NULL) == ZRC_OK) zrc_op_cancel(op);
  }
  zrc_op_release(op);
  zrc_array_release(array);
  zrc_store_release(store);
}

/* ---- the array `own`: a thread knows what its columns hold ---- */

typedef struct columns {
  uint64_t first;
  int32_t values[OWN_ROWS][OWN_COLUMNS]; /* -1: one of two */
} columns;

static zrc_status write_own(episode *e, const zrc_region *region, uint64_t *random) {
  zrc_completion done;
  zrc_op *op = NULL;
  if (next(random) % 2) return zrc_write(e->runtime, region, 1, NULL, NULL);
  zrc_status status = zrc_write_async(e->runtime, region, 1, NULL, NULL, &op, NULL);
  if (status != ZRC_OK) return status;
  ZRC_INIT(&done);
  if (next(random) % 4 == 0) zrc_op_cancel(op);
  EXPECT(ZRC_OK, zrc_op_wait(op, UINT32_MAX, &done));
  zrc_error_free(done.error);
  zrc_op_release(op);
  return done.status;
}

static void write_and_read_own(episode *e, columns *mine, uint64_t *random) {
  int32_t data[OWN_ROWS * OWN_COLUMNS], value = (int32_t)(next(random) % 3); /* 0: the fill value */
  uint64_t row = next(random) % OWN_ROWS, column = next(random) % OWN_COLUMNS;
  uint64_t start[2] = {row, mine->first + column};
  uint64_t shape[2] = {1 + next(random) % (OWN_ROWS - row), 1 + next(random) % (OWN_COLUMNS - column)};
  for (uint64_t i = 0; i < shape[0] * shape[1]; i++) data[i] = value;
  zrc_region region = {e->own, start, shape, NULL, data, (size_t)(shape[0] * shape[1]) * 4, NULL};
  zrc_status status = write_own(e, &region, random);
  CHECK(allowed(status));
  for (uint64_t i = 0; i < shape[0]; i++)
    for (uint64_t k = 0; k < shape[1]; k++) {
      int32_t *known = &mine->values[row + i][column + k];
      *known = status == ZRC_OK || *known == value ? value : -1;
    }
  start[0] = 0, start[1] = mine->first;
  shape[0] = OWN_ROWS, shape[1] = OWN_COLUMNS;
  region.nbytes = sizeof data;
  status = zrc_read(e->runtime, &region, 1, NULL, NULL);
  CHECK(status == ZRC_OK || status == ZRC_E_SHUTDOWN);
  if (status != ZRC_OK) return;
  for (uint64_t i = 0; i < OWN_ROWS * OWN_COLUMNS; i++) {
    int32_t *known = &mine->values[i / OWN_COLUMNS][i % OWN_COLUMNS];
    CHECK(*known == -1 ? data[i] >= 0 && data[i] < 3 : data[i] == *known);
  }
}

/* ---- a store of callbacks: every value is missing, answered or let go, now or never ---- */

static void get(void *ctx, zrc_request *request) {
  (void)ctx;
  zrc_answer answer;
  ZRC_INIT(&answer);
  answer.status = ZRC_E_NOT_FOUND;
  zrc_request_retain(request);
  if (request->key.len % 2) zrc_request_answer(request, &answer);
  else zrc_request_release(request);
  zrc_request_release(request);
}

static void drop(void *ctx) { atomic_fetch_add(&((episode *)ctx)->drops, 1); }

static void host_store(episode *e, uint64_t *random) {
  zrc_store_callbacks callbacks;
  zrc_store *store = NULL;
  zrc_array *array = NULL;
  ZRC_INIT(&callbacks);
  callbacks.ctx = e;
  callbacks.get = get;
  callbacks.drop = drop;
  atomic_fetch_sub(&e->drops, 1);
  EXPECT(ZRC_OK, zrc_store_from_callbacks(e->runtime, &callbacks, &store, NULL));
  if (next(random) % 2) CHECK(zrc_array_open(store, "abc", NULL, &array, NULL) != ZRC_OK);
  else (void)zrc_array_open_async(store, "ab", NULL, NULL, NULL, NULL);
  zrc_store_release(store);
}

static void *run(void *ctx) {
  episode *e = (episode *)ctx;
  static atomic_ullong numbers;
  uint64_t random = e->seed * 0x9E3779B97F4A7C15u + 77 * (atomic_fetch_add(&numbers, 1) + 1);
  zrc_op *slots[SLOTS] = {NULL};
  columns mine;
  memset(&mine, 0, sizeof mine);
  mine.first = OWN_COLUMNS * (uint64_t)atomic_fetch_add(&e->threads, 1);
  for (int step = 0; step < STEPS; step++) {
    uint64_t at = next(&random) % SLOTS;
    job *j;
    zrc_op *op = NULL;
    switch (next(&random) % 11) {
      case 0:
      case 1: { /* by callback */
        zrc_sink sink = {on_complete, j = new_job(e, &random), 0};
        j->generation = (int)(next(&random) % 3);
        if (submit(j, &sink, next(&random) % 2 ? &op : NULL) != ZRC_OK) end_job(j);
        if (slots[at]) zrc_op_release(slots[at]);
        slots[at] = op;
        break;
      }
      case 2:
      case 3: { /* by queue */
        j = new_job(e, &random);
        zrc_sink sink = {zrc_queue_complete, e->queue, (uint64_t)(uintptr_t)j};
        atomic_fetch_add(&e->queued, 1);
        if (submit(j, &sink, NULL) != ZRC_OK) {
          atomic_fetch_sub(&e->queued, 1);
          end_job(j);
        }
        break;
      }
      case 4: /* to be waited for */
        j = new_job(e, &random);
        if (submit(j, NULL, &op) == ZRC_OK) wait_and_forget(op, j, &random);
        else end_job(j);
        break;
      case 5:
        if (slots[at]) zrc_op_cancel(slots[at]);
        break;
      case 6:
        zrc_op_release(slots[at]);
        slots[at] = NULL;
        break;
      case 7:
        opens(e, &random);
        break;
      case 8:
        host_store(e, &random);
        break;
      case 9:
        write_and_read_own(e, &mine, &random);
        break;
      default: {
        zrc_stats stats;
        zrc_op_stats one;
        ZRC_INIT(&stats);
        ZRC_INIT(&one);
        EXPECT(ZRC_OK, zrc_runtime_get_stats(e->runtime, &stats));
        if (slots[at]) EXPECT(ZRC_OK, zrc_op_get_stats(slots[at], &one));
        zrc_queue_wake(e->queue);
        if (next(&random) % 200 == 0) EXPECT(ZRC_OK, zrc_runtime_shutdown(e->runtime, 60000));
      }
    }
  }
  for (int i = 0; i < SLOTS; i++) zrc_op_release(slots[i]);
  return NULL;
}

/* In memory, and every other time in a folder. */
static void make_scratch(episode *e, const char *folder) {
  char place[4096];
  snprintf(place, sizeof place, "%s/random-%d", folder, (int)getpid());
  e->scratch = open_store(e->runtime, e->seed % 2 ? place : "memory://random");
  EXPECT(ZRC_OK, zrc_array_create(e->scratch, "shared", documents[0], ZRC_CREATE_OVERWRITE, &e->shared, NULL));
  EXPECT(ZRC_OK, zrc_array_create(e->scratch, "own", documents[0], ZRC_CREATE_OVERWRITE, &e->own, NULL));
}

static void episode_of(const char *folder, uint64_t seed) {
  static const char *const names[3] = {"plain", "sharded", "plain"};
  episode e;
  pthread_t threads[THREADS];
  memset(&e, 0, sizeof e);
  e.seed = seed;
  e.runtime = new_runtime();
  EXPECT(ZRC_OK, zrc_queue_new(&e.queue, NULL));
  for (int i = 0; i < 3; i++) {
    zrc_store *store = open_store(e.runtime, folder);
    e.arrays[i] = open_array(store, names[i]);
    zrc_store_release(store);
  }
  make_scratch(&e, folder);
  for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, run, &e) == 0);
  uint64_t random = seed + 1;
  while (atomic_load(&e.queued) > 0 || next(&random) % 50) { /* the queue's one consumer */
    (void)zrc_queue_wait(e.queue, 1);
    drain(&e);
  }
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  while (atomic_load(&e.queued) > 0) {
    (void)zrc_queue_wait(e.queue, 1);
    drain(&e);
  }
  for (int i = 0; i < 3; i++) zrc_array_release(e.arrays[i]);
  zrc_array_release(e.shared);
  zrc_array_release(e.own);
  zrc_store_release(e.scratch);
  EXPECT(ZRC_OK, zrc_runtime_shutdown(e.runtime, 60000));
  CHECK(atomic_load(&e.submitted) == atomic_load(&e.completed));
  CHECK(atomic_load(&e.drops) == 0);
  drain(&e);
  zrc_queue_release(e.queue);
  zrc_runtime_release(e.runtime);
}

int main(int argc, char **argv) {
  CHECK(argc > 1);
  double seconds = argc > 2 ? atof(argv[2]) : 2;
  uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
  time_t end = time(NULL) + (time_t)seconds;
  int episodes = 0;
  do {
    fprintf(stderr, "seed %" PRIu64 "\n", seed);
    episode_of(argv[1], seed++);
    episodes++;
  } while (time(NULL) < end);
  puts("ok");
  return 0;
}
