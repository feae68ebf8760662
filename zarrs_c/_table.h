/* Written by scripts/c_table.py: the table of this library. What is NULL here is set by _api.pyx. */
#ifndef ZARRS_C_TABLE_H
#define ZARRS_C_TABLE_H

#define ZRC_TABLE_ONLY
#include "zarrs_c_import.h"

static zrc_api zrc_table = {
  sizeof(zrc_api), /* struct_size */
  ZRC_ABI_MAJOR << 16 | ZRC_ABI_MINOR, /* abi_version */
  0, /* reserved */
  NULL, /* version */
  zrc_abi_version, /* zrc_abi_version */
  zrc_version, /* zrc_version */
  zrc_error_status, /* zrc_error_status */
  zrc_error_message, /* zrc_error_message */
  zrc_error_key, /* zrc_error_key */
  zrc_error_free, /* zrc_error_free */
  zrc_status_name, /* zrc_status_name */
  zrc_runtime_new, /* zrc_runtime_new */
  zrc_runtime_retain, /* zrc_runtime_retain */
  zrc_runtime_release, /* zrc_runtime_release */
  zrc_runtime_shutdown, /* zrc_runtime_shutdown */
  zrc_store_open, /* zrc_store_open */
  zrc_store_retain, /* zrc_store_retain */
  zrc_store_release, /* zrc_store_release */
  zrc_store_url, /* zrc_store_url */
  zrc_store_runtime, /* zrc_store_runtime */
  zrc_op_retain, /* zrc_op_retain */
  zrc_op_release, /* zrc_op_release */
  zrc_op_cancel, /* zrc_op_cancel */
  zrc_op_wait, /* zrc_op_wait */
  zrc_op_get_stats, /* zrc_op_get_stats */
  zrc_queue_new, /* zrc_queue_new */
  zrc_queue_retain, /* zrc_queue_retain */
  zrc_queue_release, /* zrc_queue_release */
  zrc_queue_complete, /* zrc_queue_complete */
  zrc_queue_fd, /* zrc_queue_fd */
  zrc_queue_drain, /* zrc_queue_drain */
  zrc_queue_wait, /* zrc_queue_wait */
  zrc_queue_wake, /* zrc_queue_wake */
  zrc_array_open, /* zrc_array_open */
  zrc_array_open_async, /* zrc_array_open_async */
  zrc_array_from_metadata, /* zrc_array_from_metadata */
  zrc_array_retain, /* zrc_array_retain */
  zrc_array_release, /* zrc_array_release */
  zrc_array_ndim, /* zrc_array_ndim */
  zrc_array_zarr_format, /* zrc_array_zarr_format */
  zrc_array_shape, /* zrc_array_shape */
  zrc_array_grid_shape, /* zrc_array_grid_shape */
  zrc_array_chunk_shape, /* zrc_array_chunk_shape */
  zrc_array_inner_chunk_shape, /* zrc_array_inner_chunk_shape */
  zrc_array_chunks_extent, /* zrc_array_chunks_extent */
  zrc_array_dtype, /* zrc_array_dtype */
  zrc_array_fill_value, /* zrc_array_fill_value */
  zrc_array_metadata_json, /* zrc_array_metadata_json */
  zrc_array_path, /* zrc_array_path */
  zrc_array_store, /* zrc_array_store */
  zrc_read, /* zrc_read */
  zrc_read_async, /* zrc_read_async */
  zrc_read_encoded_chunk, /* zrc_read_encoded_chunk */
  zrc_read_encoded_chunk_async, /* zrc_read_encoded_chunk_async */
  zrc_buf_data, /* zrc_buf_data */
  zrc_buf_len, /* zrc_buf_len */
  zrc_buf_free, /* zrc_buf_free */
  zrc_store_from_callbacks, /* zrc_store_from_callbacks */
  zrc_queue_request, /* zrc_queue_request */
  zrc_request_answer, /* zrc_request_answer */
  zrc_request_retain, /* zrc_request_retain */
  zrc_request_release, /* zrc_request_release */
  zrc_request_cancelled, /* zrc_request_cancelled */
  zrc_runtime_get_stats, /* zrc_runtime_get_stats */
  zrc_queue_get_stats, /* zrc_queue_get_stats */
  NULL, /* zrc_python_runtime */
  NULL, /* zrc_array_from_python */
  NULL, /* zrc_store_from_python */
  NULL, /* zrc_array_to_python */
  NULL, /* zrc_store_to_python */
  NULL, /* zrc_raise */
  zrc_array_create, /* zrc_array_create */
  zrc_array_create_async, /* zrc_array_create_async */
  zrc_array_update, /* zrc_array_update */
  zrc_array_update_async, /* zrc_array_update_async */
  zrc_write, /* zrc_write */
  zrc_write_async, /* zrc_write_async */
  zrc_write_encoded_chunk, /* zrc_write_encoded_chunk */
  zrc_write_encoded_chunk_async, /* zrc_write_encoded_chunk_async */
  zrc_erase_chunk, /* zrc_erase_chunk */
  zrc_erase_chunk_async, /* zrc_erase_chunk_async */
};

#endif
