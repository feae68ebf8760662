//! What Rust exports, written as C: declarations that a C compiler refuses where the header says otherwise.

use std::fmt::Write;
use std::mem::offset_of;

use zarrs_c::abi::*;

use super::ctypes::{CFunction, CType};

/// The Rust side of the border.
#[derive(Default)]
pub struct RustSide {
    pub checks: String,
    pub functions: Vec<&'static str>,
    pub structs: Vec<&'static str>,
    pub constants: Vec<&'static str>,
}

fn declare<F: CFunction>(_: F, declarator: &str) -> String {
    F::declaration(declarator)
}

/// The type of a pointer to the field that `get` gives.
fn pointer_to_field<S, T: CType>(_: fn(&S) -> &T) -> String {
    T::pointer()
}

fn size_of_field<S, T>(_: fn(&S) -> &T) -> usize {
    size_of::<T>()
}

macro_rules! functions {
    ($side:ident: $($name:ident($($parameter:ty),*))*) => {$(
        $side.checks += &declare($name as unsafe extern "C" fn($($parameter),*) -> _, stringify!($name));
        $side.functions.push(stringify!($name));
    )*};
}

macro_rules! structs {
    ($side:ident: $($name:ident { $($field:ident),* })*) => {$({
        // Does not compile when Rust's struct has a field more.
        let _ = |s: $name| { let $name { $($field: _),* } = s; };
        let (name, checks) = (stringify!($name), &mut $side.checks);
        let mut fields = 0;
        $(
            let field = stringify!($field).trim_start_matches("r#");
            let (offset, pointer) = (offset_of!($name, $field), pointer_to_field(|s: &$name| &s.$field));
            writeln!(checks, "_Static_assert(offsetof({name}, {field}) == {offset}, \"{name}.{field}\");").unwrap();
            let is_it = format!("_Generic(&(({name} *)0)->{field}, {pointer}: 1, default: 0)");
            writeln!(checks, "_Static_assert({is_it}, \"{name}.{field}\");").unwrap();
            fields += size_of_field(|s: &$name| &s.$field);
        )*
        // So a field that only C has cannot hide between two others.
        assert_eq!(fields, size_of::<$name>(), "{name} has padding");
        let (size, align) = (size_of::<$name>(), align_of::<$name>());
        writeln!(checks, "_Static_assert(sizeof({name}) == {size}, \"{name}\");").unwrap();
        writeln!(checks, "_Static_assert(_Alignof({name}) == {align}, \"{name}\");").unwrap();
        $side.structs.push(name);
    })*};
}

macro_rules! constants {
    ($side:ident: $($name:ident)*) => {$(
        let (name, value) = (stringify!($name), $name);
        writeln!($side.checks, "_Static_assert({name} == {value}, \"{name}\");").unwrap();
        $side.constants.push(name);
    )*};
}

pub fn rust_side() -> RustSide {
    let mut side = RustSide::default();
    functions! { side:
        zrc_abi_version()
        zrc_version()
        zrc_error_status(_)
        zrc_error_message(_)
        zrc_error_key(_)
        zrc_error_free(_)
        zrc_status_name(_)
        zrc_runtime_new(_, _, _)
        zrc_runtime_retain(_)
        zrc_runtime_release(_)
        zrc_runtime_shutdown(_, _)
        zrc_runtime_get_stats(_, _)
        zrc_store_open(_, _, _, _, _)
        zrc_store_retain(_)
        zrc_store_release(_)
        zrc_store_url(_)
        zrc_store_runtime(_)
        zrc_store_from_callbacks(_, _, _, _)
        zrc_request_answer(_, _)
        zrc_request_retain(_)
        zrc_request_release(_)
        zrc_request_cancelled(_)
        zrc_queue_request(_, _)
        zrc_op_retain(_)
        zrc_op_release(_)
        zrc_op_cancel(_)
        zrc_op_wait(_, _, _)
        zrc_op_get_stats(_, _)
        zrc_queue_new(_, _)
        zrc_queue_retain(_)
        zrc_queue_release(_)
        zrc_queue_complete(_, _)
        zrc_queue_fd(_, _, _)
        zrc_queue_drain(_, _, _)
        zrc_queue_wait(_, _)
        zrc_queue_wake(_)
        zrc_queue_get_stats(_, _)
        zrc_array_open(_, _, _, _, _)
        zrc_array_open_async(_, _, _, _, _, _)
        zrc_array_from_metadata(_, _, _, _, _)
        zrc_array_retain(_)
        zrc_array_release(_)
        zrc_array_ndim(_)
        zrc_array_zarr_format(_)
        zrc_array_shape(_, _, _)
        zrc_array_grid_shape(_, _, _)
        zrc_array_chunk_shape(_, _, _, _)
        zrc_array_inner_chunk_shape(_, _, _)
        zrc_array_chunks_extent(_, _, _, _, _)
        zrc_array_dtype(_, _)
        zrc_array_fill_value(_, _, _)
        zrc_array_metadata_json(_)
        zrc_array_path(_)
        zrc_array_store(_)
        zrc_read(_, _, _, _, _)
        zrc_read_async(_, _, _, _, _, _, _)
        zrc_read_encoded_chunk(_, _, _, _, _)
        zrc_read_encoded_chunk_async(_, _, _, _, _, _)
        zrc_array_create(_, _, _, _, _, _)
        zrc_array_create_async(_, _, _, _, _, _, _)
        zrc_array_update(_, _, _, _, _)
        zrc_array_update_async(_, _, _, _, _, _)
        zrc_write(_, _, _, _, _)
        zrc_write_async(_, _, _, _, _, _, _)
        zrc_write_encoded_chunk(_, _, _, _, _, _)
        zrc_write_encoded_chunk_async(_, _, _, _, _, _, _, _)
        zrc_erase_chunk(_, _, _, _)
        zrc_erase_chunk_async(_, _, _, _, _, _)
        zrc_buf_data(_)
        zrc_buf_len(_)
        zrc_buf_free(_)
    }
    structs! { side:
        zrc_str { ptr, len }
        zrc_runtime_options {
            struct_size, io_threads, codec_threads, max_requests, flags, max_bytes, range_gap, range_cap,
            index_cache_bytes, put_part_bytes
        }
        zrc_completion { struct_size, tag, status, flags, bytes, error, result }
        zrc_sink { r#fn, ctx, tag }
        zrc_op_stats {
            struct_size, objects_total, objects_done, requests, heads, bytes_fetched, bytes_decoded, bytes_placed,
            chunks_decoded, chunks_missing, puts, deletes, bytes_written, chunks_encoded
        }
        zrc_array_options { struct_size, zarr_format, flags }
        zrc_dtype { struct_size, itemsize, alignment, typestr, name }
        zrc_region { array, start, shape, step, data, nbytes, strides }
        zrc_io_options { struct_size, region_size, max_requests, flags, max_bytes, statuses }
        zrc_stats {
            struct_size, operations, operations_in_flight, cancelled, failed, requests, heads, bytes_fetched,
            bytes_decoded, bytes_placed, chunks_decoded, chunks_missing, bytes_in_flight, peak_bytes_in_flight,
            requests_in_flight, peak_requests_in_flight, puts, deletes, bytes_written, chunks_encoded
        }
        zrc_queue_stats { struct_size, completions, wakes }
        zrc_request { struct_size, kind, flags, tag, key, offset, length, data, nbytes }
        zrc_store_callbacks {
            struct_size, tag, ctx, get, size, list, put, erase, cancel, drop, url, flags
        }
        zrc_entry { key, size }
        zrc_answer { struct_size, status, flags, message, data, nbytes, size, etag, entries, count }
    }
    constants! { side:
        ZRC_ABI_MAJOR ZRC_ABI_MINOR
        ZRC_OK ZRC_E_INVALID ZRC_E_NOT_FOUND ZRC_E_IO ZRC_E_CODEC ZRC_E_UNSUPPORTED ZRC_E_BUFFER ZRC_E_CANCELLED
        ZRC_E_SHUTDOWN ZRC_E_FORKED ZRC_E_PANIC ZRC_E_TIMEOUT ZRC_E_MEMORY ZRC_E_EXISTS ZRC_E_CONFLICT
        ZRC_COMPLETION_FINAL ZRC_COMPLETION_CANCEL_REQUESTED ZRC_COMPLETION_ARRAY ZRC_COMPLETION_BUF
        ZRC_COMPLETION_REQUEST ZRC_COMPLETION_STORE_END
        ZRC_REQUEST_GET ZRC_REQUEST_SIZE ZRC_REQUEST_LIST ZRC_REQUEST_PUT ZRC_REQUEST_ERASE ZRC_REQUEST_SUFFIX
        ZRC_STORE_NO_SUFFIX
        ZRC_IO_FAIL_FAST ZRC_IO_NO_FAST_PATH ZRC_IO_WRITE_EMPTY ZRC_IO_SYNC ZRC_IO_IF_UNCHANGED ZRC_CHUNK_INNER
        ZRC_CREATE_OVERWRITE
    }
    let callback: zrc_complete_fn = Some(zrc_queue_complete);
    let Some(callback) = callback else { unreachable!() };
    side.checks += &format!("typedef {}", declare(callback, "(*zrc_complete_fn)"));
    let request: zrc_request_fn = Some(zrc_queue_request);
    let Some(request) = request else { unreachable!() };
    side.checks += &format!("typedef {}", declare(request, "(*zrc_request_fn)"));
    unsafe extern "C" fn nothing(_: *mut std::ffi::c_void) {}
    let drop: zrc_drop_fn = Some(nothing);
    let Some(drop) = drop else { unreachable!() };
    side.checks += &format!("typedef {}", declare(drop, "(*zrc_drop_fn)"));
    side
}
