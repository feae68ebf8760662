/* The sum of a 2-d array of float32, read in one call:  ./read URL */
#include <stdio.h>
#include <stdlib.h>

#include "zarrs_c.h"

static int fail(zrc_error *error) {
  zrc_str message = zrc_error_message(error);
  fprintf(stderr, "%.*s\n", (int)message.len, message.ptr);
  zrc_error_free(error);
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 2) return fprintf(stderr, "usage: %s URL\n", argv[0]), 2;
  zrc_runtime *runtime;
  zrc_store *store;
  zrc_array *array;
  zrc_error *error;
  if (zrc_runtime_new(NULL, &runtime, &error)) return fail(error);
  if (zrc_store_open(runtime, argv[1], NULL, &store, &error)) return fail(error);
  if (zrc_array_open(store, "", NULL, &array, &error)) return fail(error);

  uint64_t start[2] = {0, 0}, shape[2];
  if (zrc_array_shape(array, shape, 2)) return fprintf(stderr, "not a 2-d array\n"), 1;
  size_t count = (size_t)(shape[0] * shape[1]);
  float *data = malloc(count * sizeof *data);
  zrc_region region = {.array = array, .start = start, .shape = shape, .data = data, .nbytes = count * sizeof *data};
  if (zrc_read(runtime, &region, 1, NULL, &error)) return fail(error);

  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += data[i];
  printf("%.1f\n", sum);
  free(data);
  zrc_array_release(array);
  zrc_store_release(store);
  zrc_runtime_release(runtime);
  return 0;
}
