/* A store of this program's own: values come from wherever `get` gets them, here from files of a folder that only this
 * program reads.  ./host_store FOLDER PATH  prints the sum of the 2-d array of float32 at PATH. */
#include <stdio.h>
#include <stdlib.h>

#include "zarrs_c.h"

/* Answers at once. It might as well keep `request` and answer later, from any thread. */
static void get(void *folder, zrc_request *request) {
  char path[4096];
  zrc_answer answer;
  ZRC_INIT(&answer);
  snprintf(path, sizeof path, "%s/%s", (const char *)folder, request->key.ptr);
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    answer.status = ZRC_E_NOT_FOUND;
    zrc_request_answer(request, &answer);
    return;
  }
  fseek(file, 0, SEEK_END);
  uint64_t size = (uint64_t)ftell(file), from = request->offset, n = request->length;
  if (request->flags & ZRC_REQUEST_SUFFIX) from = n < size ? size - n : 0;
  if (from > size) from = size;
  if (n > size - from) n = size - from;
  char *data = malloc(n + 1);
  fseek(file, (long)from, SEEK_SET);
  answer.data = data;
  answer.nbytes = fread(data, 1, n, file);
  answer.size = size;
  zrc_request_answer(request, &answer);
  free(data);
  fclose(file);
}

#define CHECK(call)                                                                                     \
  do {                                                                                                  \
    zrc_status status_ = (call);                                                                        \
    if (status_) return fprintf(stderr, "%s: %s\n", #call, zrc_status_name(status_)), 1;                \
  } while (0)

int main(int argc, char **argv) {
  if (argc != 3) return fprintf(stderr, "usage: %s FOLDER PATH\n", argv[0]), 2;
  zrc_runtime *runtime;
  zrc_store *store;
  zrc_array *array;
  uint64_t start[2] = {0, 0}, shape[2];
  zrc_store_callbacks callbacks = {.struct_size = sizeof callbacks, .get = get, .ctx = argv[1], .url = "mine:files"};
  CHECK(zrc_runtime_new(NULL, &runtime, NULL));
  CHECK(zrc_store_from_callbacks(runtime, &callbacks, &store, NULL));
  CHECK(zrc_array_open(store, argv[2], NULL, &array, NULL));
  CHECK(zrc_array_shape(array, shape, 2));
  size_t count = (size_t)(shape[0] * shape[1]);
  float *data = malloc(count * sizeof *data);
  zrc_region region = {.array = array, .start = start, .shape = shape, .data = data, .nbytes = count * sizeof *data};
  CHECK(zrc_read(runtime, &region, 1, NULL, NULL));
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += data[i];
  printf("%.1f\n", sum);
  free(data);
  zrc_array_release(array);
  zrc_store_release(store);
  zrc_runtime_release(runtime);
  return 0;
}
