/* zarrs_c for Python extension modules, without linking: the functions of zarrs_c.h come through a table of the
 * installed package.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 *     #include <Python.h>
 *     #include "zarrs_c_import.h"
 *
 *     PyMODINIT_FUNC PyInit_mine(void) {
 *       if (zrc_import() < 0) return NULL;
 *       ...
 *
 * From then on every function of zarrs_c.h can be called by its name, from any thread, with or without the GIL. Nothing
 * has to be linked, and the module works with every zarrs_c whose ABI has the same major version and at least the minor
 * version of this header.
 *
 * SEVERAL FILES. The table is found through a static variable of each file that includes this header. To share one,
 * define ZRC_API_SYMBOL (a name of your own) in all files before the include, and ZRC_API_EXTERN in all but the one
 * that calls zrc_import.
 *
 * ADDRESSES. Each function is a macro here, so that its address (of zrc_queue_complete, say) is known only after
 * zrc_import: assign it at run time, not in a static initializer. */
#ifndef ZARRS_C_IMPORT_H
#define ZARRS_C_IMPORT_H

#include <Python.h>

#include "zarrs_c.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ==== Python's objects ======================================================================================== */

/* These need the GIL. Those that return NULL or -1 have set an exception. */

/* The runtime of the process, as zarrs_c.configure has set it up: a new reference. Regions of arrays that come from
 * Python are read with it. */
zrc_runtime *zrc_python_runtime(void);

/* The handle of a zarrs_c.Array or a zarrs_c.Store: a new reference, which may outlive the object. TypeError for
 * anything else. */
zrc_array *zrc_array_from_python(PyObject *array);
zrc_store *zrc_store_from_python(PyObject *store);

/* A new zarrs_c.Array or zarrs_c.Store, which takes a reference of its own. ValueError where the handle belongs to
 * another runtime than the process's. What was opened by such a store alone cannot be pickled. */
PyObject *zrc_array_to_python(zrc_array *array);
PyObject *zrc_store_to_python(zrc_store *store);

/* Set the exception that zarrs_c itself would raise (zarrs_c.NotFoundError, ...), free `error`, which may be NULL, and
 * return -1. */
int zrc_raise(zrc_status status, zrc_error *error);

/* ==== The table =============================================================================================== */

/* ---- begin of what scripts/c_table.py writes ---- */
typedef struct zrc_api {
  size_t struct_size;   /* of the installed table */
  uint32_t abi_version; /* of the installed library: major << 16 | minor */
  uint32_t reserved;
  const char *version;  /* of the installed package, such as "0.1.0" */
  uint32_t (*zrc_abi_version)(void);
  const char *(*zrc_version)(void);
  zrc_status (*zrc_error_status)(const zrc_error *error);
  zrc_str (*zrc_error_message)(const zrc_error *error);
  zrc_str (*zrc_error_key)(const zrc_error *error);
  void (*zrc_error_free)(zrc_error *error);
  const char *(*zrc_status_name)(zrc_status status);
  zrc_status (*zrc_runtime_new)(const zrc_runtime_options *options, zrc_runtime **out, zrc_error **error);
  void (*zrc_runtime_retain)(zrc_runtime *runtime);
  void (*zrc_runtime_release)(zrc_runtime *runtime);
  zrc_status (*zrc_runtime_shutdown)(zrc_runtime *runtime, uint32_t timeout_ms);
  zrc_status (*zrc_store_open)(zrc_runtime *runtime, const char *url, const char *options_json, zrc_store **out,
      zrc_error **error);
  void (*zrc_store_retain)(zrc_store *store);
  void (*zrc_store_release)(zrc_store *store);
  zrc_str (*zrc_store_url)(const zrc_store *store);
  zrc_runtime *(*zrc_store_runtime)(const zrc_store *store);
  void (*zrc_op_retain)(zrc_op *op);
  void (*zrc_op_release)(zrc_op *op);
  void (*zrc_op_cancel)(zrc_op *op);
  zrc_status (*zrc_op_wait)(zrc_op *op, uint32_t timeout_ms, zrc_completion *out);
  zrc_status (*zrc_op_get_stats)(const zrc_op *op, zrc_op_stats *out);
  zrc_status (*zrc_queue_new)(zrc_queue **out, zrc_error **error);
  void (*zrc_queue_retain)(zrc_queue *queue);
  void (*zrc_queue_release)(zrc_queue *queue);
  void (*zrc_queue_complete)(void *queue, const zrc_completion *completion);
  zrc_status (*zrc_queue_fd)(zrc_queue *queue, intptr_t *out, zrc_error **error);
  size_t (*zrc_queue_drain)(zrc_queue *queue, zrc_completion *out, size_t capacity);
  zrc_status (*zrc_queue_wait)(zrc_queue *queue, uint32_t timeout_ms);
  void (*zrc_queue_wake)(zrc_queue *queue);
  zrc_status (*zrc_array_open)(zrc_store *store, const char *path, const zrc_array_options *options, zrc_array **out,
      zrc_error **error);
  zrc_status (*zrc_array_open_async)(zrc_store *store, const char *path, const zrc_array_options *options,
      const zrc_sink *sink, zrc_op **op, zrc_error **error);
  zrc_status (*zrc_array_from_metadata)(zrc_store *store, const char *path, const char *metadata_json, zrc_array **out,
      zrc_error **error);
  void (*zrc_array_retain)(zrc_array *array);
  void (*zrc_array_release)(zrc_array *array);
  uint32_t (*zrc_array_ndim)(const zrc_array *array);
  uint32_t (*zrc_array_zarr_format)(const zrc_array *array);
  zrc_status (*zrc_array_shape)(const zrc_array *array, uint64_t *out, size_t capacity);
  zrc_status (*zrc_array_grid_shape)(const zrc_array *array, uint64_t *out, size_t capacity);
  zrc_status (*zrc_array_chunk_shape)(const zrc_array *array, const uint64_t *index, uint64_t *out, size_t capacity);
  zrc_status (*zrc_array_inner_chunk_shape)(const zrc_array *array, uint64_t *out, size_t capacity);
  zrc_status (*zrc_array_chunks_extent)(const zrc_array *array, const uint64_t *chunk_start,
      const uint64_t *chunk_shape, uint64_t *start, uint64_t *shape);
  zrc_status (*zrc_array_dtype)(const zrc_array *array, zrc_dtype *out);
  zrc_status (*zrc_array_fill_value)(const zrc_array *array, void *out, size_t nbytes);
  zrc_str (*zrc_array_metadata_json)(const zrc_array *array);
  zrc_str (*zrc_array_path)(const zrc_array *array);
  zrc_store *(*zrc_array_store)(const zrc_array *array);
  zrc_status (*zrc_read)(zrc_runtime *runtime, const zrc_region *regions, size_t count, const zrc_io_options *options,
      zrc_error **error);
  zrc_status (*zrc_read_async)(zrc_runtime *runtime, const zrc_region *regions, size_t count,
      const zrc_io_options *options, const zrc_sink *sink, zrc_op **op, zrc_error **error);
  zrc_status (*zrc_read_encoded_chunk)(const zrc_array *array, const uint64_t *index, uint32_t flags, zrc_buf **out,
      zrc_error **error);
  zrc_status (*zrc_read_encoded_chunk_async)(const zrc_array *array, const uint64_t *index, uint32_t flags,
      const zrc_sink *sink, zrc_op **op, zrc_error **error);
  const uint8_t *(*zrc_buf_data)(const zrc_buf *buf);
  size_t (*zrc_buf_len)(const zrc_buf *buf);
  void (*zrc_buf_free)(zrc_buf *buf);
  zrc_status (*zrc_store_from_callbacks)(zrc_runtime *runtime, const zrc_store_callbacks *callbacks, zrc_store **out,
      zrc_error **error);
  void (*zrc_queue_request)(void *queue, zrc_request *request);
  zrc_status (*zrc_request_answer)(zrc_request *request, const zrc_answer *answer);
  void (*zrc_request_retain)(zrc_request *request);
  void (*zrc_request_release)(zrc_request *request);
  uint32_t (*zrc_request_cancelled)(const zrc_request *request);
  zrc_status (*zrc_runtime_get_stats)(const zrc_runtime *runtime, zrc_stats *out);
  zrc_status (*zrc_queue_get_stats)(const zrc_queue *queue, zrc_queue_stats *out);
  zrc_runtime *(*zrc_python_runtime)(void);
  zrc_array *(*zrc_array_from_python)(PyObject *array);
  zrc_store *(*zrc_store_from_python)(PyObject *store);
  PyObject *(*zrc_array_to_python)(zrc_array *array);
  PyObject *(*zrc_store_to_python)(zrc_store *store);
  int (*zrc_raise)(zrc_status status, zrc_error *error);
  zrc_status (*zrc_array_create)(zrc_store *store, const char *path, const char *metadata_json, uint32_t flags,
      zrc_array **out, zrc_error **error);
  zrc_status (*zrc_array_create_async)(zrc_store *store, const char *path, const char *metadata_json, uint32_t flags,
      const zrc_sink *sink, zrc_op **op, zrc_error **error);
  zrc_status (*zrc_array_update)(const zrc_array *array, const char *metadata_json, uint32_t flags, zrc_array **out,
      zrc_error **error);
  zrc_status (*zrc_array_update_async)(const zrc_array *array, const char *metadata_json, uint32_t flags,
      const zrc_sink *sink, zrc_op **op, zrc_error **error);
  zrc_status (*zrc_write)(zrc_runtime *runtime, const zrc_region *regions, size_t count, const zrc_io_options *options,
      zrc_error **error);
  zrc_status (*zrc_write_async)(zrc_runtime *runtime, const zrc_region *regions, size_t count,
      const zrc_io_options *options, const zrc_sink *sink, zrc_op **op, zrc_error **error);
  zrc_status (*zrc_write_encoded_chunk)(const zrc_array *array, const uint64_t *index, const void *data, size_t nbytes,
      uint32_t flags, zrc_error **error);
  zrc_status (*zrc_write_encoded_chunk_async)(const zrc_array *array, const uint64_t *index, const void *data,
      size_t nbytes, uint32_t flags, const zrc_sink *sink, zrc_op **op, zrc_error **error);
  zrc_status (*zrc_erase_chunk)(const zrc_array *array, const uint64_t *index, uint32_t flags, zrc_error **error);
  zrc_status (*zrc_erase_chunk_async)(const zrc_array *array, const uint64_t *index, uint32_t flags,
      const zrc_sink *sink, zrc_op **op, zrc_error **error);
} zrc_api;

#ifndef ZRC_TABLE_ONLY
#define zrc_abi_version (ZRC_API->zrc_abi_version)
#define zrc_version (ZRC_API->zrc_version)
#define zrc_error_status (ZRC_API->zrc_error_status)
#define zrc_error_message (ZRC_API->zrc_error_message)
#define zrc_error_key (ZRC_API->zrc_error_key)
#define zrc_error_free (ZRC_API->zrc_error_free)
#define zrc_status_name (ZRC_API->zrc_status_name)
#define zrc_runtime_new (ZRC_API->zrc_runtime_new)
#define zrc_runtime_retain (ZRC_API->zrc_runtime_retain)
#define zrc_runtime_release (ZRC_API->zrc_runtime_release)
#define zrc_runtime_shutdown (ZRC_API->zrc_runtime_shutdown)
#define zrc_store_open (ZRC_API->zrc_store_open)
#define zrc_store_retain (ZRC_API->zrc_store_retain)
#define zrc_store_release (ZRC_API->zrc_store_release)
#define zrc_store_url (ZRC_API->zrc_store_url)
#define zrc_store_runtime (ZRC_API->zrc_store_runtime)
#define zrc_op_retain (ZRC_API->zrc_op_retain)
#define zrc_op_release (ZRC_API->zrc_op_release)
#define zrc_op_cancel (ZRC_API->zrc_op_cancel)
#define zrc_op_wait (ZRC_API->zrc_op_wait)
#define zrc_op_get_stats (ZRC_API->zrc_op_get_stats)
#define zrc_queue_new (ZRC_API->zrc_queue_new)
#define zrc_queue_retain (ZRC_API->zrc_queue_retain)
#define zrc_queue_release (ZRC_API->zrc_queue_release)
#define zrc_queue_complete (ZRC_API->zrc_queue_complete)
#define zrc_queue_fd (ZRC_API->zrc_queue_fd)
#define zrc_queue_drain (ZRC_API->zrc_queue_drain)
#define zrc_queue_wait (ZRC_API->zrc_queue_wait)
#define zrc_queue_wake (ZRC_API->zrc_queue_wake)
#define zrc_array_open (ZRC_API->zrc_array_open)
#define zrc_array_open_async (ZRC_API->zrc_array_open_async)
#define zrc_array_from_metadata (ZRC_API->zrc_array_from_metadata)
#define zrc_array_retain (ZRC_API->zrc_array_retain)
#define zrc_array_release (ZRC_API->zrc_array_release)
#define zrc_array_ndim (ZRC_API->zrc_array_ndim)
#define zrc_array_zarr_format (ZRC_API->zrc_array_zarr_format)
#define zrc_array_shape (ZRC_API->zrc_array_shape)
#define zrc_array_grid_shape (ZRC_API->zrc_array_grid_shape)
#define zrc_array_chunk_shape (ZRC_API->zrc_array_chunk_shape)
#define zrc_array_inner_chunk_shape (ZRC_API->zrc_array_inner_chunk_shape)
#define zrc_array_chunks_extent (ZRC_API->zrc_array_chunks_extent)
#define zrc_array_dtype (ZRC_API->zrc_array_dtype)
#define zrc_array_fill_value (ZRC_API->zrc_array_fill_value)
#define zrc_array_metadata_json (ZRC_API->zrc_array_metadata_json)
#define zrc_array_path (ZRC_API->zrc_array_path)
#define zrc_array_store (ZRC_API->zrc_array_store)
#define zrc_read (ZRC_API->zrc_read)
#define zrc_read_async (ZRC_API->zrc_read_async)
#define zrc_read_encoded_chunk (ZRC_API->zrc_read_encoded_chunk)
#define zrc_read_encoded_chunk_async (ZRC_API->zrc_read_encoded_chunk_async)
#define zrc_buf_data (ZRC_API->zrc_buf_data)
#define zrc_buf_len (ZRC_API->zrc_buf_len)
#define zrc_buf_free (ZRC_API->zrc_buf_free)
#define zrc_store_from_callbacks (ZRC_API->zrc_store_from_callbacks)
#define zrc_queue_request (ZRC_API->zrc_queue_request)
#define zrc_request_answer (ZRC_API->zrc_request_answer)
#define zrc_request_retain (ZRC_API->zrc_request_retain)
#define zrc_request_release (ZRC_API->zrc_request_release)
#define zrc_request_cancelled (ZRC_API->zrc_request_cancelled)
#define zrc_runtime_get_stats (ZRC_API->zrc_runtime_get_stats)
#define zrc_queue_get_stats (ZRC_API->zrc_queue_get_stats)
#define zrc_python_runtime (ZRC_API->zrc_python_runtime)
#define zrc_array_from_python (ZRC_API->zrc_array_from_python)
#define zrc_store_from_python (ZRC_API->zrc_store_from_python)
#define zrc_array_to_python (ZRC_API->zrc_array_to_python)
#define zrc_store_to_python (ZRC_API->zrc_store_to_python)
#define zrc_raise (ZRC_API->zrc_raise)
#define zrc_array_create (ZRC_API->zrc_array_create)
#define zrc_array_create_async (ZRC_API->zrc_array_create_async)
#define zrc_array_update (ZRC_API->zrc_array_update)
#define zrc_array_update_async (ZRC_API->zrc_array_update_async)
#define zrc_write (ZRC_API->zrc_write)
#define zrc_write_async (ZRC_API->zrc_write_async)
#define zrc_write_encoded_chunk (ZRC_API->zrc_write_encoded_chunk)
#define zrc_write_encoded_chunk_async (ZRC_API->zrc_write_encoded_chunk_async)
#define zrc_erase_chunk (ZRC_API->zrc_erase_chunk)
#define zrc_erase_chunk_async (ZRC_API->zrc_erase_chunk_async)
#endif
/* ---- end of it ---- */

#ifndef ZRC_TABLE_ONLY
#ifndef ZRC_API_SYMBOL
static const zrc_api *ZRC_API = NULL;
#else
#define ZRC_API ZRC_API_SYMBOL
#ifdef ZRC_API_EXTERN
extern const zrc_api *ZRC_API;
#else
const zrc_api *ZRC_API = NULL;
#endif
#endif

/* ==== Import ================================================================================================== */

/* Import zarrs_c and find its table. Returns 0, or -1 with an ImportError that says what is installed and what is
 * needed. Call it when your module is initialised; again is harmless. */
static inline int zrc_import(void) {
  PyObject *module = PyImport_ImportModule("zarrs_c");
  if (module == NULL) return -1;
  PyObject *capsule = PyObject_GetAttrString(module, "_C_API");
  Py_DECREF(module);
  if (capsule == NULL) {
    if (!PyErr_ExceptionMatches(PyExc_AttributeError)) return -1;
    PyErr_Clear();
    PyErr_Format(PyExc_ImportError,
                 "the installed zarrs_c has no C API for extension modules; this one needs ABI %u.%u: upgrade zarrs_c",
                 ZRC_ABI_MAJOR, ZRC_ABI_MINOR);
    return -1;
  }
  const zrc_api *api = (const zrc_api *)PyCapsule_GetPointer(capsule, "zarrs_c._C_API");
  Py_DECREF(capsule); /* the table itself is static */
  if (api == NULL) return -1;
  unsigned int major = api->abi_version >> 16, minor = api->abi_version & 0xffff;
  if (major != ZRC_ABI_MAJOR) {
    PyErr_Format(PyExc_ImportError,
                 "this module was compiled for ABI %u.%u of zarrs_c; the installed zarrs_c %s has ABI %u.%u: %s",
                 ZRC_ABI_MAJOR, ZRC_ABI_MINOR, api->version, major, minor,
                 major < ZRC_ABI_MAJOR ? "upgrade zarrs_c" : "compile the module against the installed zarrs_c");
    return -1;
  }
  if (minor < ZRC_ABI_MINOR || api->struct_size < sizeof(zrc_api)) {
    PyErr_Format(PyExc_ImportError,
                 "this module was compiled for ABI %u.%u of zarrs_c (a table of %zu bytes); the installed zarrs_c %s is "
                 "older: ABI %u.%u (%zu bytes): upgrade zarrs_c",
                 ZRC_ABI_MAJOR, ZRC_ABI_MINOR, sizeof(zrc_api), api->version, major, minor, api->struct_size);
    return -1;
  }
  ZRC_API = api;
  return 0;
}
#endif /* ZRC_TABLE_ONLY */

#ifdef __cplusplus
}
#endif
#endif /* ZARRS_C_IMPORT_H */
