/* zarrs_c: read and write Zarr arrays in parallel, without blocking, from any language that can call C.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * This header is the contract and the manual. Read it from top to bottom: version, errors, runtime, stores,
 * completion, operations, queues, arrays, reads, writes, encoded chunks, stores of the host's own, statistics.
 *
 *     zrc_runtime *rt;  zrc_store *store;  zrc_array *array;
 *     zrc_runtime_new(NULL, &rt, NULL);
 *     zrc_store_open(rt, "file:///data/era5.zarr", NULL, &store, NULL);
 *     zrc_array_open(store, "t2m", NULL, &array, NULL);
 *     uint64_t start[3] = {0, 0, 0}, shape[3] = {24, 721, 1440};
 *     zrc_region region = {.array = array, .start = start, .shape = shape,
 *                          .data = buffer, .nbytes = sizeof buffer};
 *     zrc_read(rt, &region, 1, NULL, NULL);
 *
 * OWNERSHIP. Handles (zrc_runtime, zrc_store, zrc_array, zrc_op, zrc_queue) are opaque and reference counted.
 * A function that returns a handle gives the caller one reference, which the matching `_release` drops; `_retain`
 * adds one. zrc_error and zrc_buf have one owner and are freed by `_free`. Every `_release` and `_free` accepts
 * NULL. Handles may be released in any order: an operation keeps alive whatever it needs. What this library
 * allocates only this library frees, and the reverse.
 *
 * THREADS. Every function may be called from any thread, and on one handle from several threads at once, save
 * that the last `_release` of a handle must not race with another use of it, and that a queue has one consumer.
 *
 * ERRORS. Functions that can fail return a zrc_status. Those that also take a `zrc_error **` store there, when it
 * is not NULL, an error with the message and the store key (to be freed by the caller), or NULL on success. Out
 * parameters are written on success only. There is no global "last error".
 *
 * STRUCTS. Each public struct starts with `size_t struct_size`, which the caller sets to sizeof the struct it was
 * compiled with (ZRC_INIT does). Structs only ever grow at the end: a shorter struct is completed with zeros, and
 * a longer one is accepted while the unknown tail is zero (ZRC_E_INVALID otherwise). Of a struct that the library
 * fills only struct_size is read, and what the library does not know of it becomes zero. Zero means "the default"
 * everywhere. Strings are UTF-8. Reserved words and unknown flags must be zero. */
#ifndef ZARRS_C_H
#define ZARRS_C_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ==== Version ================================================================================================= */

#define ZRC_ABI_MAJOR 0u
#define ZRC_ABI_MINOR 2u

/* The ABI of the loaded library: major << 16 | minor. A consumer needs an equal major, and a minor at least the
 * one it was compiled with. While the major is 0 the ABI may still change between releases. */
uint32_t zrc_abi_version(void);

/* The version of the library, such as "0.1.0". Static. */
const char *zrc_version(void);

/* ==== Errors ================================================================================================== */

typedef int32_t zrc_status; /* one of the numbers below, which are permanent */

#define ZRC_OK            0  /* success */
#define ZRC_E_INVALID     1  /* an argument is wrong: bounds, dimensions, NULL, an option, metadata that is broken */
#define ZRC_E_NOT_FOUND   2  /* no array, group or bucket there */
#define ZRC_E_IO          3  /* the store failed: permissions, network, disk */
#define ZRC_E_CODEC       4  /* stored bytes do not decode: truncated, corrupted, wrong checksum or length */
#define ZRC_E_UNSUPPORTED 5  /* a data type, codec, URL scheme or feature that this library does not have */
#define ZRC_E_BUFFER      6  /* the caller's memory does not fit the region: size, overlap */
#define ZRC_E_CANCELLED   7  /* stopped by zrc_op_cancel, or skipped because another region failed */
#define ZRC_E_SHUTDOWN    8  /* the runtime is shut down */
#define ZRC_E_FORKED      9  /* the handle's work stayed in the parent process */
#define ZRC_E_PANIC       10 /* a bug of ours, contained */
#define ZRC_E_TIMEOUT     11 /* a wait ran out of time */
#define ZRC_E_MEMORY      12 /* an allocation failed, or metadata asks for more than there can be */
#define ZRC_E_EXISTS      13 /* there is an array or a group already */
#define ZRC_E_CONFLICT    14 /* somebody else has changed what was to be changed */

typedef struct zrc_str { /* borrowed, not NUL-terminated; ptr is never NULL */
  const char *ptr;
  size_t len;
} zrc_str;

typedef struct zrc_error zrc_error;

zrc_status zrc_error_status(const zrc_error *error);  /* ZRC_OK for NULL */
zrc_str zrc_error_message(const zrc_error *error);    /* valid while the error lives */
zrc_str zrc_error_key(const zrc_error *error);        /* the store key concerned; empty when there is none */
void zrc_error_free(zrc_error *error);

/* The name of a status, such as "ZRC_E_CODEC". Static; "ZRC_E_UNKNOWN" for a number that is not listed. */
const char *zrc_status_name(zrc_status status);

/* ==== Runtime ================================================================================================= */

typedef struct zrc_runtime zrc_runtime;
typedef struct zrc_store zrc_store;
typedef struct zrc_array zrc_array;
typedef struct zrc_op zrc_op;
typedef struct zrc_queue zrc_queue;
typedef struct zrc_buf zrc_buf;

/* Fill a struct with its defaults. */
#define ZRC_INIT(p) (memset((p), 0, sizeof *(p)), (p)->struct_size = sizeof *(p))

typedef struct zrc_runtime_options {
  size_t struct_size;
  uint32_t io_threads;    /* threads that wait for the network; default 2 */
  uint32_t codec_threads; /* threads that decode and scatter, and read local files; default: cores available */
  uint32_t max_requests;  /* requests in flight at once, over all operations; default 64 */
  uint32_t flags;         /* none yet */
  uint64_t max_bytes;     /* bytes held in flight at once, encoded and decoded; default 256 MiB */
  uint64_t range_gap;     /* ranges of a remote object with at most so many unwanted bytes between them are fetched
                             together; default 64 KiB */
  uint64_t range_cap;     /* the most bytes that one such request fetches; default 64 MiB */
  uint64_t index_cache_bytes; /* decoded indexes of remote shards that are kept; default 64 MiB */
  uint64_t put_part_bytes;    /* remote objects of more than 4 times so many bytes are put in parts of so many;
                                 default 16 MiB, S3 wants at least 5 MiB */
} zrc_runtime_options;

/* A runtime owns the threads and the budgets. No thread starts before the first operation. `options` may be NULL.
 * After a fork, the child's runtime starts threads of its own at its first use; see ZRC_E_FORKED at zrc_op_wait.
 * Errors: INVALID (struct_size, a thread count above 4096). */
zrc_status zrc_runtime_new(const zrc_runtime_options *options, zrc_runtime **out, zrc_error **error);
void zrc_runtime_retain(zrc_runtime *runtime);
void zrc_runtime_release(zrc_runtime *runtime);

/* Refuse new work (ZRC_E_SHUTDOWN), cancel the operations under way, and wait until every one is final and the
 * threads have ended. May be called again. Never call it from a callback.
 * Errors: TIMEOUT (some work has not stopped within timeout_ms; its buffers must not be freed). */
zrc_status zrc_runtime_shutdown(zrc_runtime *runtime, uint32_t timeout_ms);

/* ==== Stores ================================================================================================== */

/* Open a store by URL, without any I/O. `url` is file:///absolute/folder (or a plain path), s3://bucket/prefix,
 * gs://bucket/prefix, az://container/prefix, abfs(s)://container@account.dfs.core.windows.net/prefix, http(s)://host/
 * path, or memory://name (shared within the process by name). `options_json` is NULL or a JSON object whose values are
 * strings: object_store's configuration keys of the scheme ("aws_region", "google_service_account", "timeout", ...),
 * which the environment's variables of the same names stand behind, and "max_retries", "retry_timeout", "init_backoff",
 * "max_backoff" (seconds) and "header.NAME". The options a scheme does not know are refused.
 * Errors: INVALID (malformed URL, JSON or option), UNSUPPORTED (scheme). */
zrc_status zrc_store_open(zrc_runtime *runtime, const char *url, const char *options_json, zrc_store **out,
                          zrc_error **error);
void zrc_store_retain(zrc_store *store);
void zrc_store_release(zrc_store *store);

/* The store's URL, normalised, without any secret. Valid while the store lives. */
zrc_str zrc_store_url(const zrc_store *store);
zrc_runtime *zrc_store_runtime(const zrc_store *store); /* a new reference */

/* ==== Completion ============================================================================================== */

/* How an operation ends. Each operation that was submitted with ZRC_OK has exactly one final completion, whatever
 * happens after; one that was refused has none and retains nothing.
 *
 * - Final means that no thread of the library touches the caller's memory any more and that all its writes are
 *   visible to the thread that learns of it. Until then the library owns that memory.
 * - A callback runs on a thread of the library, perhaps before the submitting call has returned, but never inside
 *   it. It must not block, throw, unwind, or take a lock of an interpreter (such as Python's GIL). It may submit,
 *   cancel and release.
 * - Options, regions and the completion struct live for their call only. `ctx` must live until the final callback
 *   has returned. */
typedef struct zrc_completion {
  size_t struct_size;
  uint64_t tag;      /* the sink's */
  zrc_status status; /* ZRC_OK or why it failed */
  uint32_t flags;    /* ZRC_COMPLETION_* */
  uint64_t bytes;    /* bytes placed in the caller's memory, or taken from it */
  zrc_error *error;  /* owned by the receiver, who frees it; NULL when status is ZRC_OK */
  void *result;      /* owned by the receiver, of the type that the flags say, or NULL */
} zrc_completion;

#define ZRC_COMPLETION_FINAL            1u /* the last completion of its operation */
#define ZRC_COMPLETION_CANCEL_REQUESTED 2u /* zrc_op_cancel came before the end, even if the status is ZRC_OK */
#define ZRC_COMPLETION_ARRAY            4u /* result is a zrc_array * */
#define ZRC_COMPLETION_BUF              8u /* result is a zrc_buf * */
#define ZRC_COMPLETION_REQUEST         16u /* no operation's end, but a request: result is a zrc_request * */
#define ZRC_COMPLETION_STORE_END       32u /* the end of a store of callbacks: nothing more comes with its tag */

typedef void (*zrc_complete_fn)(void *ctx, const zrc_completion *completion);

typedef struct zrc_sink { /* where completions go; passed by pointer, copied */
  zrc_complete_fn fn;
  void *ctx;
  uint64_t tag;
} zrc_sink;

/* ==== Operations ============================================================================================== */

/* A zrc_op is one operation under way. A submitting call gives one to the caller when its `op` is not NULL. */
void zrc_op_retain(zrc_op *op);
void zrc_op_release(zrc_op *op); /* does not cancel */

/* Ask the operation to stop. Idempotent; from any thread; returns at once. Work not started is skipped, a decode
 * under way finishes first. The operation still ends by its final completion, whose status may be ZRC_OK. */
void zrc_op_cancel(zrc_op *op);

/* Wait for the final completion, at most timeout_ms (UINT32_MAX: for ever). When the operation had no sink, `out`
 * (NULL or with struct_size set) receives the completion: result to the first who asks, error to everyone. When
 * it had one, `out` receives status, flags and bytes only. ZRC_OK says that the operation has ended, not how; `out`
 * does. Never call it from a callback.
 * Errors: TIMEOUT (not final yet), FORKED (the operation was started by the parent process). */
zrc_status zrc_op_wait(zrc_op *op, uint32_t timeout_ms, zrc_completion *out);

/* Small reads that wait at the same time share what several of them want: all but bytes_placed and the objects is then
 * counted for one of them. */
typedef struct zrc_op_stats {
  size_t struct_size;
  uint64_t objects_total;  /* chunks or shards that the operation touches */
  uint64_t objects_done;   /* of these, finished or skipped */
  uint64_t requests;       /* to the store: GET, PUT, DELETE and so on, or reads and writes of local files */
  uint64_t heads;          /* of these, requests that only asked for a size */
  uint64_t bytes_fetched;  /* bytes those returned */
  uint64_t bytes_decoded;  /* bytes that came out of the codecs */
  uint64_t bytes_placed;   /* bytes written to the caller's memory, or taken from it */
  uint64_t chunks_decoded; /* chunks, or inner chunks of shards */
  uint64_t chunks_missing; /* of those looked for, filled with the fill value */
  uint64_t puts;           /* objects stored */
  uint64_t deletes;        /* objects removed, had they been there or not */
  uint64_t bytes_written;  /* bytes of the objects stored */
  uint64_t chunks_encoded; /* chunks, or inner chunks of shards */
} zrc_op_stats;

/* What the operation has done so far. Errors: INVALID (struct_size). */
zrc_status zrc_op_get_stats(const zrc_op *op, zrc_op_stats *out);

/* ==== Queues ================================================================================================== */

/* A queue collects completions for a host that has a loop of its own: pass zrc_queue_complete as a sink's `fn` and
 * the queue as its `ctx`. No code of the host runs on a thread of the library. Every submitted operation retains
 * the queue until its completion is in it. */
zrc_status zrc_queue_new(zrc_queue **out, zrc_error **error);
void zrc_queue_retain(zrc_queue *queue);
void zrc_queue_release(zrc_queue *queue); /* the last release frees whatever completions are left */
void zrc_queue_complete(void *queue, const zrc_completion *completion);

/* A descriptor that poll, epoll or kqueue shows as readable while the queue is not empty; owned by the queue, to be
 * watched and never read. It costs one system call a burst. Errors: IO (no descriptor left). */
zrc_status zrc_queue_fd(zrc_queue *queue, intptr_t *out, zrc_error **error);

/* Move up to `capacity` completions into `out`, an array whose first element has struct_size set; the receiver owns
 * their errors and results. Returns how many. Never blocks. */
size_t zrc_queue_drain(zrc_queue *queue, zrc_completion *out, size_t capacity);

/* Block until the queue is not empty or zrc_queue_wake was called.
 * Errors: TIMEOUT (timeout_ms; UINT32_MAX: for ever), FORKED (the queue belongs to the parent process). */
zrc_status zrc_queue_wait(zrc_queue *queue, uint32_t timeout_ms);

/* Make one zrc_queue_wait, now or the next, return ZRC_OK although the queue may be empty. */
void zrc_queue_wake(zrc_queue *queue);

/* ==== Arrays ================================================================================================== */

typedef struct zrc_array_options {
  size_t struct_size;
  uint32_t zarr_format; /* 2 or 3; 0: look for both, 3 wins */
  uint32_t flags;       /* none yet */
} zrc_array_options;

/* Open the array at `path` in the store ("" for the store's root). `options` may be NULL. The asynchronous form
 * completes with a zrc_array * as its result.
 * Errors: NOT_FOUND (nothing there, or a group), INVALID (broken metadata), UNSUPPORTED (codec, data type), IO. */
zrc_status zrc_array_open(zrc_store *store, const char *path, const zrc_array_options *options, zrc_array **out,
                          zrc_error **error);
zrc_status zrc_array_open_async(zrc_store *store, const char *path, const zrc_array_options *options,
                                const zrc_sink *sink, zrc_op **op, zrc_error **error);

/* Make the array that `metadata_json` (of zarr.json or .zarray) describes, without any I/O.
 * Errors: INVALID, UNSUPPORTED. */
zrc_status zrc_array_from_metadata(zrc_store *store, const char *path, const char *metadata_json, zrc_array **out,
                                   zrc_error **error);
void zrc_array_retain(zrc_array *array);
void zrc_array_release(zrc_array *array);

/* What an array is. None of these does I/O. `capacity` counts elements of `out`, which receives zrc_array_ndim of
 * them. Errors: INVALID (capacity too small, index outside the grid). */
uint32_t zrc_array_ndim(const zrc_array *array);
uint32_t zrc_array_zarr_format(const zrc_array *array);
zrc_status zrc_array_shape(const zrc_array *array, uint64_t *out, size_t capacity);

/* Chunks along each dimension. A sharded array's chunk is the shard: one stored object. */
zrc_status zrc_array_grid_shape(const zrc_array *array, uint64_t *out, size_t capacity);

/* The shape of the chunk at a grid index, as encoded: an edge chunk may reach beyond the array's bounds. */
zrc_status zrc_array_chunk_shape(const zrc_array *array, const uint64_t *index, uint64_t *out, size_t capacity);

/* The shape of the inner chunks of a sharded array. Errors: also UNSUPPORTED (the array is not sharded). */
zrc_status zrc_array_inner_chunk_shape(const zrc_array *array, uint64_t *out, size_t capacity);

/* The box of elements that a box of chunks covers, cut at the array's bounds: chunk coordinates in, element
 * coordinates out, each of ndim values. Errors: INVALID (chunks outside the grid). */
zrc_status zrc_array_chunks_extent(const zrc_array *array, const uint64_t *chunk_start, const uint64_t *chunk_shape,
                                   uint64_t *start, uint64_t *shape);

typedef struct zrc_dtype {
  size_t struct_size;
  uint32_t itemsize; /* bytes an element in memory; 0 for variable-length types, which cannot be read yet */
  uint32_t alignment;
  char typestr[32]; /* NumPy's, native byte order: "<f4", "|b1", "<M8[10ns]", "<V2" for bfloat16; "|O" if variable */
  char name[32];    /* Zarr's: "float32", "bfloat16", "numpy.datetime64" (cut to fit) */
} zrc_dtype;

zrc_status zrc_array_dtype(const zrc_array *array, zrc_dtype *out);

/* One element of the fill value, in memory order. Errors: INVALID (nbytes is not the itemsize). */
zrc_status zrc_array_fill_value(const zrc_array *array, void *out, size_t nbytes);

zrc_str zrc_array_metadata_json(const zrc_array *array); /* as stored, attributes included; valid while it lives */
zrc_str zrc_array_path(const zrc_array *array);          /* in its store, without a leading '/' */
zrc_store *zrc_array_store(const zrc_array *array);      /* a new reference */

/* ==== Reads =================================================================================================== */

/* A region: the elements start[d] + k * step[d], 0 <= k < shape[d], of an array, and the memory that they fill,
 * or come from in a write. All vectors have ndim entries and are copied. A region with a 0 in its shape is empty and
 * valid.
 * The element at index k lies at data + sum(k[d] * strides[d]); strides are in bytes, of any sign. */
typedef struct zrc_region {
  const zrc_array *array;
  const uint64_t *start;
  const uint64_t *shape;
  const int64_t *step; /* NULL: all 1; never 0 */
  void *data;
  size_t nbytes;          /* product(shape) * itemsize; anything else is ZRC_E_BUFFER */
  const int64_t *strides; /* NULL: C order without gaps; elements must not overlap (ZRC_E_BUFFER) */
} zrc_region;

typedef struct zrc_io_options {
  size_t struct_size;
  size_t region_size;    /* sizeof(zrc_region); 0 means this header's */
  uint32_t max_requests; /* of this operation alone, within the runtime's; 0: no limit of its own */
  uint32_t flags;        /* ZRC_IO_* */
  uint64_t max_bytes;    /* likewise */
  zrc_status *statuses;  /* NULL, or one for each region, valid once final; must live until then */
} zrc_io_options;

#define ZRC_IO_FAIL_FAST    1u /* the first region that fails stops the others, which end as ZRC_E_CANCELLED */
#define ZRC_IO_NO_FAST_PATH 2u /* through zarrs' generic codecs only: to test and compare, for bytes that you trust */
/* Of writes only: */
#define ZRC_IO_WRITE_EMPTY  4u /* store chunks that hold only the fill value, which are erased otherwise */
#define ZRC_IO_SYNC         8u /* local files, and the folders they are in, are on the disk before the completion */
#define ZRC_IO_IF_UNCHANGED 16u /* a chunk that is changed in part must still be what it was when it was read, or the
                                   write ends as ZRC_E_CONFLICT; for stores that put on a condition */

/* Read `count` regions, of any arrays of this runtime, as one operation. A chunk that several regions touch is
 * fetched and decoded once; missing chunks give the fill value. Regions must not overlap in memory. The status is
 * that of the first failure; what a failed or cancelled region's memory then holds is unspecified, and safe to
 * reuse. `options` and `sink` may be NULL. The blocking form returns the status and error of the completion.
 * Errors at submission: INVALID, BUFFER, UNSUPPORTED (variable-length data type), SHUTDOWN. The error's message
 * names the region where there are several. Errors at completion: IO, CODEC, MEMORY, CANCELLED, SHUTDOWN, PANIC. */
zrc_status zrc_read(zrc_runtime *runtime, const zrc_region *regions, size_t count, const zrc_io_options *options,
                    zrc_error **error);
zrc_status zrc_read_async(zrc_runtime *runtime, const zrc_region *regions, size_t count,
                          const zrc_io_options *options, const zrc_sink *sink, zrc_op **op, zrc_error **error);

/* ==== Writes ================================================================================================== */

/* Make the array that `metadata_json` describes: a zarr.json of format 3; or a .zarray of format 2, with a member
 * "attributes" beside its own, which becomes .zattrs. Gives the array, as zrc_array_open does.
 * `flags`: ZRC_CREATE_*. Errors: INVALID, UNSUPPORTED (also: a store that is read-only), EXISTS, IO. */
#define ZRC_CREATE_OVERWRITE 1u /* first erase everything under the path, other arrays included */

zrc_status zrc_array_create(zrc_store *store, const char *path, const char *metadata_json, uint32_t flags,
                            zrc_array **out, zrc_error **error);
zrc_status zrc_array_create_async(zrc_store *store, const char *path, const char *metadata_json, uint32_t flags,
                                  const zrc_sink *sink, zrc_op **op, zrc_error **error);

/* Store other metadata, which may differ from the array's in shape, attributes and names of dimensions; chunks that
 * then lie outside of the shape are erased. Gives a new array: `array` stays as it is. What somebody else has changed
 * of the three since `array` was opened stays, except for what differs here. `flags` must be 0.
 * Errors: INVALID (it differs in anything else), UNSUPPORTED (read-only store), IO, CONFLICT (there is another array
 * by now). */
zrc_status zrc_array_update(const zrc_array *array, const char *metadata_json, uint32_t flags, zrc_array **out,
                            zrc_error **error);
zrc_status zrc_array_update_async(const zrc_array *array, const char *metadata_json, uint32_t flags,
                                  const zrc_sink *sink, zrc_op **op, zrc_error **error);

/* Write `count` regions, whose `data` is only read and must not change until the completion. Strides may be 0: one
 * element for many. Regions must not overlap in the array. A chunk that a region replaces as a whole (within the
 * array's bounds) is not read; of others what is left out stays, and concurrent writes of this process to one chunk
 * follow each other. Chunks that hold only the fill value are erased. Each chunk or shard ends as it was or as it
 * is to be, whatever happens; which of them are written when an operation fails or is cancelled is not specified.
 * Errors at submission: as zrc_read, and UNSUPPORTED for a store that cannot be written, or not on a condition.
 * Errors at completion: as zrc_read, and CONFLICT. */
zrc_status zrc_write(zrc_runtime *runtime, const zrc_region *regions, size_t count, const zrc_io_options *options,
                     zrc_error **error);
zrc_status zrc_write_async(zrc_runtime *runtime, const zrc_region *regions, size_t count,
                           const zrc_io_options *options, const zrc_sink *sink, zrc_op **op, zrc_error **error);

/* ==== Encoded chunks ========================================================================================== */

#define ZRC_CHUNK_INNER 1u /* `index` counts the inner chunks of a sharded array, over the whole array */

/* The bytes of one chunk as they are stored, without any decoding; NULL (and ZRC_OK) for a missing chunk. The
 * asynchronous form completes with a zrc_buf * or NULL as its result. `flags`: ZRC_CHUNK_*.
 * Errors: INVALID (index, flags), UNSUPPORTED (inner chunk of an array that is not sharded), IO, CODEC (index). */
zrc_status zrc_read_encoded_chunk(const zrc_array *array, const uint64_t *index, uint32_t flags, zrc_buf **out,
                                  zrc_error **error);
zrc_status zrc_read_encoded_chunk_async(const zrc_array *array, const uint64_t *index, uint32_t flags,
                                        const zrc_sink *sink, zrc_op **op, zrc_error **error);
const uint8_t *zrc_buf_data(const zrc_buf *buf);
size_t zrc_buf_len(const zrc_buf *buf);
void zrc_buf_free(zrc_buf *buf);

/* Store `nbytes` bytes, which must live until the completion, as the chunk (or shard) at `index`: not encoded, not
 * checked. Or erase it; a chunk that is missing already is no error. `flags` must be 0.
 * Errors: INVALID (index, flags), UNSUPPORTED (read-only store), IO. */
zrc_status zrc_write_encoded_chunk(const zrc_array *array, const uint64_t *index, const void *data, size_t nbytes,
                                   uint32_t flags, zrc_error **error);
zrc_status zrc_write_encoded_chunk_async(const zrc_array *array, const uint64_t *index, const void *data,
                                         size_t nbytes, uint32_t flags, const zrc_sink *sink, zrc_op **op,
                                         zrc_error **error);
zrc_status zrc_erase_chunk(const zrc_array *array, const uint64_t *index, uint32_t flags, zrc_error **error);
zrc_status zrc_erase_chunk_async(const zrc_array *array, const uint64_t *index, uint32_t flags,
                                 const zrc_sink *sink, zrc_op **op, zrc_error **error);

/* ==== Stores of the host's own ================================================================================ */

/* A store whose values the host fetches and keeps: in a database, an archive, or behind a protocol that this library
 * does not speak. It is read and written as any other store: in parallel, within the same budgets, ranges that lie
 * near each other as one. What the library wants of it comes as requests, each to the callback of its kind, and the
 * host answers each by zrc_request_answer: in the callback, or later, from any thread.
 *
 * - Callbacks run on threads of the library, several at once. They must not block, throw, unwind, or take a lock of
 *   an interpreter. A host with a loop of its own passes zrc_queue_request as every callback, and a queue as `ctx`:
 *   then requests come out of zrc_queue_drain, marked ZRC_COMPLETION_REQUEST, with the store's tag, and in the end,
 *   when nothing uses the store any more, ZRC_COMPLETION_STORE_END.
 * - The host owns one reference to each request that it is given, which zrc_request_answer takes back. A request
 *   that is released without an answer fails as ZRC_E_IO.
 * - When the operation behind a request ends early, `cancel` is told; the answer then reaches nobody, and must be given
 *   all the same, or the request released. `cancel` only lends the request. On a queue, a request that is to be
 *   cancelled comes a second time, marked ZRC_COMPLETION_CANCEL_REQUESTED, with a reference of its own to be released.
 * - The store belongs to the process that made it: elsewhere what uses it fails as ZRC_E_FORKED. */
typedef struct zrc_request { /* made by the library; read as far as its struct_size, never written by the host */
  size_t struct_size;
  uint32_t kind;    /* ZRC_REQUEST_* */
  uint32_t flags;   /* ZRC_REQUEST_SUFFIX */
  uint64_t tag;     /* the store's */
  zrc_str key;      /* of the value, such as "t2m/c/0/1"; of LIST, what keys start with. A NUL follows it */
  uint64_t offset;  /* GET: the first byte that is wanted */
  uint64_t length;  /* GET: how many are wanted, fewer where the value ends before; UINT64_MAX: all */
  const void *data; /* PUT: the value, valid as long as the request */
  size_t nbytes;    /* PUT: its length */
} zrc_request;

#define ZRC_REQUEST_GET   1u
#define ZRC_REQUEST_SIZE  2u
#define ZRC_REQUEST_LIST  3u /* every key that starts with `key`, which is empty or ends with '/' */
#define ZRC_REQUEST_PUT   4u /* a new value, or one instead of the old, whole or not at all */
#define ZRC_REQUEST_ERASE 5u

#define ZRC_REQUEST_SUFFIX 1u /* in flags: the last `length` bytes are wanted; offset is 0 */

typedef void (*zrc_request_fn)(void *ctx, zrc_request *request);
typedef void (*zrc_drop_fn)(void *ctx);

typedef struct zrc_store_callbacks { /* copied; a NULL makes what needs it fail as ZRC_E_UNSUPPORTED */
  size_t struct_size;
  uint64_t tag;
  void *ctx;             /* must live until `drop` is called */
  zrc_request_fn get;    /* never NULL */
  zrc_request_fn size;
  zrc_request_fn list;
  zrc_request_fn put;
  zrc_request_fn erase;
  zrc_request_fn cancel; /* NULL: the host does not care */
  zrc_drop_fn drop;      /* NULL, or called once, with `ctx`, after its last use, from any thread */
  const char *url;       /* what messages call the store: a URL of a scheme of the host's; NULL: "host:" */
  uint64_t flags;        /* ZRC_STORE_* */
} zrc_store_callbacks;

#define ZRC_STORE_NO_SUFFIX 1u /* never ask for the end of a value (ZRC_REQUEST_SUFFIX), but for its size before */

/* Make a store of callbacks. When this fails, `drop` is not called. Errors: INVALID (no `get`, no `size` although
 * ZRC_STORE_NO_SUFFIX, a URL that is none). */
zrc_status zrc_store_from_callbacks(zrc_runtime *runtime, const zrc_store_callbacks *callbacks, zrc_store **out,
                                    zrc_error **error);
void zrc_queue_request(void *queue, zrc_request *request);

typedef struct zrc_entry {
  const char *key;
  uint64_t size;
} zrc_entry;

typedef struct zrc_answer { /* what lies behind its pointers is copied before the call returns */
  size_t struct_size;
  zrc_status status;   /* ZRC_OK; ZRC_E_NOT_FOUND: there is no such value; or why the request failed */
  uint32_t flags;      /* none yet */
  const char *message; /* of a failure, for a person; NULL: the status' name */
  const void *data;    /* GET: the bytes: all that are wanted, or up to the end of the value */
  size_t nbytes;
  uint64_t size;       /* SIZE, GET: bytes of the whole value. 0 in a GET: not known, which a SUFFIX must know */
  const char *etag;    /* GET, SIZE, PUT: NULL, or what differs when the value does */
  const zrc_entry *entries; /* LIST */
  size_t count;
} zrc_answer;

/* Answer a request, once, and release it. Errors, of which the operation hears as well: INVALID (struct_size, NULL,
 * text that is not UTF-8; or the request has been answered before). */
zrc_status zrc_request_answer(zrc_request *request, const zrc_answer *answer);
void zrc_request_retain(zrc_request *request);
void zrc_request_release(zrc_request *request);

/* Not 0 once nobody waits for the answer any more. */
uint32_t zrc_request_cancelled(const zrc_request *request);

/* ==== Statistics ============================================================================================== */

typedef struct zrc_stats { /* since the runtime was made (in this process) */
  size_t struct_size;
  uint64_t operations;              /* that became final */
  uint64_t operations_in_flight;
  uint64_t cancelled;               /* of the final ones, those that ended as ZRC_E_CANCELLED */
  uint64_t failed;                  /* of the final ones, those that ended with another error */
  uint64_t requests;
  uint64_t heads;
  uint64_t bytes_fetched;
  uint64_t bytes_decoded;
  uint64_t bytes_placed;
  uint64_t chunks_decoded;
  uint64_t chunks_missing;
  uint64_t bytes_in_flight;
  uint64_t peak_bytes_in_flight;
  uint64_t requests_in_flight;
  uint64_t peak_requests_in_flight;
  uint64_t puts;
  uint64_t deletes;
  uint64_t bytes_written;
  uint64_t chunks_encoded;
} zrc_stats;

/* Errors: INVALID (struct_size). */
zrc_status zrc_runtime_get_stats(const zrc_runtime *runtime, zrc_stats *out);

typedef struct zrc_queue_stats {
  size_t struct_size;
  uint64_t completions; /* that came in */
  uint64_t wakes;       /* times the queue went from empty to not empty, each at most one wake of the host */
} zrc_queue_stats;

zrc_status zrc_queue_get_stats(const zrc_queue *queue, zrc_queue_stats *out);

#ifdef __cplusplus
}
#endif
#endif /* ZARRS_C_H */
