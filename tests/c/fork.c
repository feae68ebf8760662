/* After a fork the child starts anew: what the parent had under way says so and nothing hangs; new work just works. */
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { SLOW_ROWS = 400, SLOW_COLUMNS = 16 };

typedef struct world {
  zrc_runtime *runtime;
  zrc_store *store;
  zrc_array *plain;
  zrc_op *op;       /* under way at the fork */
  zrc_queue *queue; /* with one completion in it, and one on its way */
} world;

static void read_plain(const world *w, const zrc_array *array) {
  box whole = new_box(0, 0, 95, 63);
  zrc_region region = region_of(array, &whole);
  zrc_error *error = NULL;
  zrc_read(w->runtime, &region, 1, NULL, &error);
  stop_on(error);
  expect_box(&whole);
}

static void what_was_the_parents_says_so(world *w) {
  zrc_completion completion;
  ZRC_INIT(&completion);
  intptr_t fd;
  EXPECT(ZRC_E_FORKED, zrc_op_wait(w->op, UINT32_MAX, &completion));
  EXPECT(ZRC_E_FORKED, zrc_queue_wait(w->queue, UINT32_MAX));
  EXPECT_ERROR(ZRC_E_FORKED, "parent process", zrc_queue_fd(w->queue, &fd, &error));
  CHECK(zrc_queue_drain(w->queue, &completion, 1) == 0);
  zrc_op_cancel(w->op);
  zrc_queue_wake(w->queue);
  zrc_sink sink = {zrc_queue_complete, w->queue, 0};
  EXPECT_ERROR(ZRC_E_FORKED, "queue", zrc_array_open_async(w->store, "plain", NULL, &sink, NULL, &error));
}

static void new_work_works(world *w) {
  zrc_stats stats;
  ZRC_INIT(&stats);
  EXPECT(ZRC_OK, zrc_runtime_get_stats(w->runtime, &stats));
  CHECK(stats.operations == 0 && stats.operations_in_flight == 0); /* counted anew */
  read_plain(w, w->plain); /* an array and a runtime of the parent */
  zrc_array *array = open_array(w->store, "plain");
  read_plain(w, array);
  zrc_array_release(array);

  zrc_queue *queue = NULL;
  EXPECT(ZRC_OK, zrc_queue_new(&queue, NULL));
  zrc_sink sink = {zrc_queue_complete, queue, 3};
  EXPECT(ZRC_OK, zrc_array_open_async(w->store, "plain", NULL, &sink, NULL, NULL));
  EXPECT(ZRC_OK, zrc_queue_wait(queue, UINT32_MAX));
  zrc_completion completion;
  ZRC_INIT(&completion);
  CHECK(zrc_queue_drain(queue, &completion, 1) == 1 && completion.tag == 3);
  zrc_array_release((zrc_array *)completion.result);
  zrc_queue_release(queue);
}

static void release_world(world *w) {
  zrc_op_release(w->op);
  zrc_queue_release(w->queue);
  zrc_array_release(w->plain);
  zrc_store_release(w->store);
  EXPECT(ZRC_OK, zrc_runtime_shutdown(w->runtime, 60000));
  zrc_runtime_release(w->runtime);
}

/* With `exec` the child ends as another program: valgrind would look for leaks in a child, and find what belonged to
 * the parent's threads, which the child does not have. */
static void end_child(const char *how) {
  if (how != NULL && strcmp(how, "exec") == 0) execl("/bin/true", "true", (char *)NULL);
  _exit(how != NULL);
}

static void fork_and(world *w, int depth, const char *how) {
  fflush(stdout);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    alarm(240); /* a hang is a failure */
    what_was_the_parents_says_so(w);
    new_work_works(w);
    if (depth > 0) fork_and(w, depth - 1, how); /* grandchildren */
    release_world(w);
    end_child(how);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    fprintf(stderr, "the child ended with wait status %#x\n", (unsigned)status);
    exit(1);
  }
}

int main(int argc, char **argv) {
  CHECK(argc == 2 || argc == 3);
  static const uint64_t start[2] = {0, 0}, shape[2] = {SLOW_ROWS, SLOW_COLUMNS};
  static const int64_t step[2] = {1, 1 << 16};
  static unsigned char data[SLOW_ROWS * SLOW_COLUMNS];

  world w;
  w.runtime = new_runtime();
  w.store = open_store(w.runtime, argv[1]);
  w.plain = open_array(w.store, "plain");
  zrc_array *slow = open_array(w.store, "slow");
  read_plain(&w, w.plain);

  EXPECT(ZRC_OK, zrc_queue_new(&w.queue, NULL));
  zrc_sink sink = {zrc_queue_complete, w.queue, 1};
  zrc_op *open = NULL;
  EXPECT(ZRC_OK, zrc_array_open_async(w.store, "plain", NULL, &sink, &open, NULL));
  EXPECT(ZRC_OK, zrc_op_wait(open, UINT32_MAX, NULL));
  zrc_op_release(open);
  zrc_region region = {slow, start, shape, step, data, sizeof data, NULL};
  EXPECT(ZRC_OK, zrc_read_async(w.runtime, &region, 1, NULL, &sink, &w.op, NULL));

  fork_and(&w, 1, argc == 3 ? argv[2] : NULL);

  /* The parent's side of it never noticed. */
  read_plain(&w, w.plain);
  zrc_op_cancel(w.op);
  EXPECT(ZRC_OK, zrc_op_wait(w.op, UINT32_MAX, NULL));
  zrc_completion both[2];
  both[0].struct_size = sizeof both[0];
  CHECK(zrc_queue_drain(w.queue, both, 2) == 2);
  CHECK((both[0].flags & ZRC_COMPLETION_ARRAY) && both[1].status == ZRC_E_CANCELLED);
  zrc_array_release((zrc_array *)both[0].result);
  zrc_error_free(both[1].error);
  zrc_array_release(slow);
  release_world(&w);
  puts("ok");
  return 0;
}
