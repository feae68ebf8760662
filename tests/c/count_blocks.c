/* Counts the blocks that Python asks for while the interpreter's allocators go through here. For ctypes, which gives the
   functions that get and set them; one call for each at a time, under the GIL. */
#include <stddef.h>

typedef struct {
  void *ctx;
  void *(*malloc)(void *ctx, size_t size);
  void *(*calloc)(void *ctx, size_t count, size_t size);
  void *(*realloc)(void *ctx, void *block, size_t size);
  void (*free)(void *ctx, void *block);
} allocator;

typedef void access_fn(int domain, allocator *);

static allocator system_of[3];
static unsigned long long blocks;

static void *count_malloc(void *ctx, size_t size) {
  const allocator *system = ctx;
  blocks++;
  return system->malloc(system->ctx, size);
}

static void *count_calloc(void *ctx, size_t count, size_t size) {
  const allocator *system = ctx;
  blocks++;
  return system->calloc(system->ctx, count, size);
}

static void *count_realloc(void *ctx, void *block, size_t size) {
  const allocator *system = ctx;
  blocks++;
  return system->realloc(system->ctx, block, size);
}

static void count_free(void *ctx, void *block) {
  const allocator *system = ctx;
  system->free(system->ctx, block);
}

/* Of the domains of memory (1) and of objects (2). That of raw memory (0) is used without the GIL. */
void start(access_fn *get, access_fn *set) {
  for (int domain = 1; domain <= 2; domain++) {
    allocator ours = {&system_of[domain], count_malloc, count_calloc, count_realloc, count_free};
    get(domain, &system_of[domain]);
    set(domain, &ours);
  }
}

unsigned long long count(void) { return blocks; }
