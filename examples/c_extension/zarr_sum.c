/* A Python extension in C that takes a user's open array: zarr_sum.total(array) adds up an array of float32, row by row
 * of chunks, and holds neither the GIL nor the whole array. It is linked to nothing. */
#include <Python.h>

#include "zarrs_c_import.h"

/* Add up all elements; the reads and the sums run without the GIL. */
static zrc_status add_up(zrc_runtime *runtime, zrc_array *array, double *total, zrc_error **error) {
  uint64_t shape[2], chunk[2], start[2] = {0, 0};
  zrc_status status = zrc_array_shape(array, shape, 2);
  if (!status) status = zrc_array_chunk_shape(array, start, chunk, 2);
  if (status) return status;
  size_t row = (size_t)shape[1] * sizeof(float);
  float *rows = (float *)malloc(chunk[0] * row + 1);
  if (rows == NULL) return ZRC_E_MEMORY;
  for (; start[0] < shape[0] && !status; start[0] += chunk[0]) {
    uint64_t left = shape[0] - start[0];
    uint64_t box[2] = {left < chunk[0] ? left : chunk[0], shape[1]};
    zrc_region region = {array, start, box, NULL, rows, (size_t)box[0] * row, NULL};
    status = zrc_read(runtime, &region, 1, NULL, error);
    for (uint64_t i = 0; i < box[0] * box[1] && !status; i++) *total += rows[i];
  }
  free(rows);
  return status;
}

static PyObject *total(PyObject *self, PyObject *object) {
  zrc_error *error = NULL;
  zrc_dtype dtype;
  double sum = 0;
  (void)self;
  zrc_array *array = zrc_array_from_python(object);
  if (array == NULL) return NULL;
  ZRC_INIT(&dtype);
  zrc_array_dtype(array, &dtype);
  if (zrc_array_ndim(array) != 2 || strcmp(dtype.typestr, "<f4") != 0) {
    zrc_array_release(array);
    return PyErr_Format(PyExc_TypeError, "total() takes a 2-d array of float32");
  }
  zrc_runtime *runtime = zrc_python_runtime();
  zrc_status status;
  Py_BEGIN_ALLOW_THREADS
  status = add_up(runtime, array, &sum, &error);
  zrc_array_release(array);
  zrc_runtime_release(runtime);
  Py_END_ALLOW_THREADS
  if (status) return zrc_raise(status, error), NULL;
  return PyFloat_FromDouble(sum);
}

/* And back: an array that C has opened, as Python's. */
static PyObject *opened(PyObject *self, PyObject *url) {
  zrc_error *error = NULL;
  zrc_store *store = NULL;
  zrc_array *array = NULL;
  PyObject *object = NULL;
  (void)self;
  const char *text = PyUnicode_AsUTF8(url);
  zrc_runtime *runtime = text ? zrc_python_runtime() : NULL;
  if (runtime == NULL) return NULL;
  zrc_status status = zrc_store_open(runtime, text, NULL, &store, &error);
  if (!status) status = zrc_array_open(store, "", NULL, &array, &error);
  if (status) zrc_raise(status, error);
  else object = zrc_array_to_python(array);
  zrc_array_release(array);
  zrc_store_release(store);
  zrc_runtime_release(runtime);
  return object;
}

static PyMethodDef methods[] = {
    {"total", total, METH_O, "The sum of all elements of a 2-d zarrs_c.Array of float32."},
    {"opened", opened, METH_O, "The zarrs_c.Array at a URL, opened by C."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "zarr_sum", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_zarr_sum(void) {
  if (zrc_import() < 0) return NULL; /* an ImportError says what is missing */
  return PyModule_Create(&definition);
}
