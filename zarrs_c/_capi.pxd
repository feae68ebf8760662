"""include/zarrs_c.h for Cython, declaration by declaration. The header says what each does."""

from libc.stdint cimport int32_t, int64_t, intptr_t, uint8_t, uint32_t, uint64_t


cdef extern from "zarrs_c.h" nogil:
    # ---- Version ----
    const uint32_t ZRC_ABI_MAJOR
    const uint32_t ZRC_ABI_MINOR
    uint32_t zrc_abi_version() noexcept
    const char *zrc_version() noexcept

    # ---- Errors ----
    ctypedef int32_t zrc_status
    const zrc_status ZRC_OK
    const zrc_status ZRC_E_INVALID
    const zrc_status ZRC_E_NOT_FOUND
    const zrc_status ZRC_E_IO
    const zrc_status ZRC_E_CODEC
    const zrc_status ZRC_E_UNSUPPORTED
    const zrc_status ZRC_E_BUFFER
    const zrc_status ZRC_E_CANCELLED
    const zrc_status ZRC_E_SHUTDOWN
    const zrc_status ZRC_E_FORKED
    const zrc_status ZRC_E_PANIC
    const zrc_status ZRC_E_TIMEOUT
    const zrc_status ZRC_E_MEMORY
    const zrc_status ZRC_E_EXISTS
    const zrc_status ZRC_E_CONFLICT

    ctypedef struct zrc_str:
        const char *ptr
        size_t len

    ctypedef struct zrc_error:
        pass
    zrc_status zrc_error_status(const zrc_error *error) noexcept
    zrc_str zrc_error_message(const zrc_error *error) noexcept
    zrc_str zrc_error_key(const zrc_error *error) noexcept
    void zrc_error_free(zrc_error *error) noexcept
    const char *zrc_status_name(zrc_status status) noexcept

    # ---- Runtime ----
    ctypedef struct zrc_runtime:
        pass
    ctypedef struct zrc_store:
        pass
    ctypedef struct zrc_array:
        pass
    ctypedef struct zrc_op:
        pass
    ctypedef struct zrc_queue:
        pass
    ctypedef struct zrc_buf:
        pass

    void ZRC_INIT(void *p) noexcept  # a macro: takes a pointer to any struct below

    ctypedef struct zrc_runtime_options:
        size_t struct_size
        uint32_t io_threads
        uint32_t codec_threads
        uint32_t max_requests
        uint32_t flags
        uint64_t max_bytes
        uint64_t range_gap
        uint64_t range_cap
        uint64_t index_cache_bytes
        uint64_t put_part_bytes
    zrc_status zrc_runtime_new(const zrc_runtime_options *options, zrc_runtime **out,
                               zrc_error **error) noexcept
    void zrc_runtime_retain(zrc_runtime *runtime) noexcept
    void zrc_runtime_release(zrc_runtime *runtime) noexcept
    zrc_status zrc_runtime_shutdown(zrc_runtime *runtime, uint32_t timeout_ms) noexcept

    # ---- Stores ----
    zrc_status zrc_store_open(zrc_runtime *runtime, const char *url, const char *options_json,
                              zrc_store **out, zrc_error **error) noexcept
    void zrc_store_retain(zrc_store *store) noexcept
    void zrc_store_release(zrc_store *store) noexcept
    zrc_str zrc_store_url(const zrc_store *store) noexcept
    zrc_runtime *zrc_store_runtime(const zrc_store *store) noexcept

    # ---- Completion ----
    ctypedef struct zrc_completion:
        size_t struct_size
        uint64_t tag
        zrc_status status
        uint32_t flags
        uint64_t bytes
        zrc_error *error
        void *result
    const uint32_t ZRC_COMPLETION_FINAL
    const uint32_t ZRC_COMPLETION_CANCEL_REQUESTED
    const uint32_t ZRC_COMPLETION_ARRAY
    const uint32_t ZRC_COMPLETION_BUF
    const uint32_t ZRC_COMPLETION_REQUEST
    const uint32_t ZRC_COMPLETION_STORE_END
    ctypedef void (*zrc_complete_fn)(void *ctx, const zrc_completion *completion) noexcept
    ctypedef struct zrc_sink:
        zrc_complete_fn fn
        void *ctx
        uint64_t tag

    # ---- Operations ----
    void zrc_op_retain(zrc_op *op) noexcept
    void zrc_op_release(zrc_op *op) noexcept
    void zrc_op_cancel(zrc_op *op) noexcept
    zrc_status zrc_op_wait(zrc_op *op, uint32_t timeout_ms, zrc_completion *out) noexcept
    ctypedef struct zrc_op_stats:
        size_t struct_size
        uint64_t objects_total
        uint64_t objects_done
        uint64_t requests
        uint64_t heads
        uint64_t bytes_fetched
        uint64_t bytes_decoded
        uint64_t bytes_placed
        uint64_t chunks_decoded
        uint64_t chunks_missing
        uint64_t puts
        uint64_t deletes
        uint64_t bytes_written
        uint64_t chunks_encoded
    zrc_status zrc_op_get_stats(const zrc_op *op, zrc_op_stats *out) noexcept

    # ---- Queues ----
    zrc_status zrc_queue_new(zrc_queue **out, zrc_error **error) noexcept
    void zrc_queue_retain(zrc_queue *queue) noexcept
    void zrc_queue_release(zrc_queue *queue) noexcept
    void zrc_queue_complete(void *queue, const zrc_completion *completion) noexcept
    zrc_status zrc_queue_fd(zrc_queue *queue, intptr_t *out, zrc_error **error) noexcept
    size_t zrc_queue_drain(zrc_queue *queue, zrc_completion *out, size_t capacity) noexcept
    zrc_status zrc_queue_wait(zrc_queue *queue, uint32_t timeout_ms) noexcept
    void zrc_queue_wake(zrc_queue *queue) noexcept

    # ---- Arrays ----
    ctypedef struct zrc_array_options:
        size_t struct_size
        uint32_t zarr_format
        uint32_t flags
    zrc_status zrc_array_open(zrc_store *store, const char *path, const zrc_array_options *options,
                              zrc_array **out, zrc_error **error) noexcept
    zrc_status zrc_array_open_async(zrc_store *store, const char *path, const zrc_array_options *options,
                                    const zrc_sink *sink, zrc_op **op, zrc_error **error) noexcept
    zrc_status zrc_array_from_metadata(zrc_store *store, const char *path, const char *metadata_json,
                                       zrc_array **out, zrc_error **error) noexcept
    void zrc_array_retain(zrc_array *array) noexcept
    void zrc_array_release(zrc_array *array) noexcept
    uint32_t zrc_array_ndim(const zrc_array *array) noexcept
    uint32_t zrc_array_zarr_format(const zrc_array *array) noexcept
    zrc_status zrc_array_shape(const zrc_array *array, uint64_t *out, size_t capacity) noexcept
    zrc_status zrc_array_grid_shape(const zrc_array *array, uint64_t *out, size_t capacity) noexcept
    zrc_status zrc_array_chunk_shape(const zrc_array *array, const uint64_t *index, uint64_t *out,
                                     size_t capacity) noexcept
    zrc_status zrc_array_inner_chunk_shape(const zrc_array *array, uint64_t *out, size_t capacity) noexcept
    zrc_status zrc_array_chunks_extent(const zrc_array *array, const uint64_t *chunk_start,
                                       const uint64_t *chunk_shape, uint64_t *start, uint64_t *shape) noexcept
    ctypedef struct zrc_dtype:
        size_t struct_size
        uint32_t itemsize
        uint32_t alignment
        char typestr[32]
        char name[32]
    zrc_status zrc_array_dtype(const zrc_array *array, zrc_dtype *out) noexcept
    zrc_status zrc_array_fill_value(const zrc_array *array, void *out, size_t nbytes) noexcept
    zrc_str zrc_array_metadata_json(const zrc_array *array) noexcept
    zrc_str zrc_array_path(const zrc_array *array) noexcept
    zrc_store *zrc_array_store(const zrc_array *array) noexcept

    # ---- Reads ----
    ctypedef struct zrc_region:
        const zrc_array *array
        const uint64_t *start
        const uint64_t *shape
        const int64_t *step
        void *data
        size_t nbytes
        const int64_t *strides
    ctypedef struct zrc_io_options:
        size_t struct_size
        size_t region_size
        uint32_t max_requests
        uint32_t flags
        uint64_t max_bytes
        zrc_status *statuses
    const uint32_t ZRC_IO_FAIL_FAST
    const uint32_t ZRC_IO_NO_FAST_PATH
    const uint32_t ZRC_IO_WRITE_EMPTY
    const uint32_t ZRC_IO_SYNC
    const uint32_t ZRC_IO_IF_UNCHANGED
    zrc_status zrc_read(zrc_runtime *runtime, const zrc_region *regions, size_t count,
                        const zrc_io_options *options, zrc_error **error) noexcept
    zrc_status zrc_read_async(zrc_runtime *runtime, const zrc_region *regions, size_t count,
                              const zrc_io_options *options, const zrc_sink *sink, zrc_op **op,
                              zrc_error **error) noexcept

    # ---- Writes ----
    const uint32_t ZRC_CREATE_OVERWRITE
    zrc_status zrc_array_create(zrc_store *store, const char *path, const char *metadata_json,
                                uint32_t flags, zrc_array **out, zrc_error **error) noexcept
    zrc_status zrc_array_create_async(zrc_store *store, const char *path, const char *metadata_json,
                                      uint32_t flags, const zrc_sink *sink, zrc_op **op,
                                      zrc_error **error) noexcept
    zrc_status zrc_array_update(const zrc_array *array, const char *metadata_json, uint32_t flags,
                                zrc_array **out, zrc_error **error) noexcept
    zrc_status zrc_array_update_async(const zrc_array *array, const char *metadata_json, uint32_t flags,
                                      const zrc_sink *sink, zrc_op **op, zrc_error **error) noexcept
    zrc_status zrc_write(zrc_runtime *runtime, const zrc_region *regions, size_t count,
                         const zrc_io_options *options, zrc_error **error) noexcept
    zrc_status zrc_write_async(zrc_runtime *runtime, const zrc_region *regions, size_t count,
                               const zrc_io_options *options, const zrc_sink *sink, zrc_op **op,
                               zrc_error **error) noexcept

    # ---- Encoded chunks ----
    const uint32_t ZRC_CHUNK_INNER
    zrc_status zrc_read_encoded_chunk(const zrc_array *array, const uint64_t *index, uint32_t flags,
                                      zrc_buf **out, zrc_error **error) noexcept
    zrc_status zrc_read_encoded_chunk_async(const zrc_array *array, const uint64_t *index, uint32_t flags,
                                            const zrc_sink *sink, zrc_op **op, zrc_error **error) noexcept
    const uint8_t *zrc_buf_data(const zrc_buf *buf) noexcept
    size_t zrc_buf_len(const zrc_buf *buf) noexcept
    void zrc_buf_free(zrc_buf *buf) noexcept
    zrc_status zrc_write_encoded_chunk(const zrc_array *array, const uint64_t *index, const void *data,
                                       size_t nbytes, uint32_t flags, zrc_error **error) noexcept
    zrc_status zrc_write_encoded_chunk_async(const zrc_array *array, const uint64_t *index, const void *data,
                                             size_t nbytes, uint32_t flags, const zrc_sink *sink, zrc_op **op,
                                             zrc_error **error) noexcept
    zrc_status zrc_erase_chunk(const zrc_array *array, const uint64_t *index, uint32_t flags,
                               zrc_error **error) noexcept
    zrc_status zrc_erase_chunk_async(const zrc_array *array, const uint64_t *index, uint32_t flags,
                                     const zrc_sink *sink, zrc_op **op, zrc_error **error) noexcept

    # ---- Stores of the host's own ----
    ctypedef struct zrc_request:
        size_t struct_size
        uint32_t kind
        uint32_t flags
        uint64_t tag
        zrc_str key
        uint64_t offset
        uint64_t length
        const void *data
        size_t nbytes
    const uint32_t ZRC_REQUEST_GET
    const uint32_t ZRC_REQUEST_SIZE
    const uint32_t ZRC_REQUEST_LIST
    const uint32_t ZRC_REQUEST_PUT
    const uint32_t ZRC_REQUEST_ERASE
    const uint32_t ZRC_REQUEST_SUFFIX
    ctypedef void (*zrc_request_fn)(void *ctx, zrc_request *request) noexcept
    ctypedef void (*zrc_drop_fn)(void *ctx) noexcept
    ctypedef struct zrc_store_callbacks:
        size_t struct_size
        uint64_t tag
        void *ctx
        zrc_request_fn get
        zrc_request_fn size
        zrc_request_fn list
        zrc_request_fn put
        zrc_request_fn erase
        zrc_request_fn cancel
        zrc_drop_fn drop
        const char *url
        uint64_t flags
    const uint32_t ZRC_STORE_NO_SUFFIX
    zrc_status zrc_store_from_callbacks(zrc_runtime *runtime, const zrc_store_callbacks *callbacks,
                                        zrc_store **out, zrc_error **error) noexcept
    void zrc_queue_request(void *queue, zrc_request *request) noexcept
    ctypedef struct zrc_entry:
        const char *key
        uint64_t size
    ctypedef struct zrc_answer:
        size_t struct_size
        zrc_status status
        uint32_t flags
        const char *message
        const void *data
        size_t nbytes
        uint64_t size
        const char *etag
        const zrc_entry *entries
        size_t count
    zrc_status zrc_request_answer(zrc_request *request, const zrc_answer *answer) noexcept
    void zrc_request_retain(zrc_request *request) noexcept
    void zrc_request_release(zrc_request *request) noexcept
    uint32_t zrc_request_cancelled(const zrc_request *request) noexcept

    # ---- Statistics ----
    ctypedef struct zrc_stats:
        size_t struct_size
        uint64_t operations
        uint64_t operations_in_flight
        uint64_t cancelled
        uint64_t failed
        uint64_t requests
        uint64_t heads
        uint64_t bytes_fetched
        uint64_t bytes_decoded
        uint64_t bytes_placed
        uint64_t chunks_decoded
        uint64_t chunks_missing
        uint64_t bytes_in_flight
        uint64_t peak_bytes_in_flight
        uint64_t requests_in_flight
        uint64_t peak_requests_in_flight
        uint64_t puts
        uint64_t deletes
        uint64_t bytes_written
        uint64_t chunks_encoded
    zrc_status zrc_runtime_get_stats(const zrc_runtime *runtime, zrc_stats *out) noexcept
    ctypedef struct zrc_queue_stats:
        size_t struct_size
        uint64_t completions
        uint64_t wakes
    zrc_status zrc_queue_get_stats(const zrc_queue *queue, zrc_queue_stats *out) noexcept
