//! What zfp's decoder needs to be told before it may run: it knows neither where its input ends nor how much room its
//! output has.

use std::num::NonZeroU64;

use zarrs::array::DataType;
use zarrs::array::codec::{ZfpDataTypeExt, ZfpNativeType};

use super::super::error::{Error, Result};
use super::super::scratch::zeroed;

/// Bytes that a header takes at the most, and the words that the decoder reads ahead.
const SLACK: usize = 64;

/// A copy of `bytes` with zeros after it up to the `most` that the decoder can read.
pub fn padded(bytes: &[u8], most: usize) -> Result<Vec<u8>> {
    if bytes.is_empty() || bytes.len() > most.saturating_add(SLACK) {
        return Err(Error::codec(format_args!("zfp: {} bytes are stored, {most} are the most", bytes.len())));
    }
    let mut padded = zeroed::<u8>(most.saturating_add(SLACK).next_multiple_of(8))?;
    padded[..bytes.len()].copy_from_slice(bytes);
    Ok(padded)
}

/// Check that the header in front of `bytes` is of a chunk of `shape` and `data_type`. Returns the most bytes that
/// the decoder can read, which must not exceed `most`.
pub fn checked_header(
    bytes: &[u8],
    shape: &[NonZeroU64],
    data_type: &DataType,
    most: usize,
) -> Result<usize> {
    let header = Header::read(bytes)?;
    let wanted = match data_type.codec_zfp().map_err(Error::unsupported)?.zfp_encoding().native_type() {
        ZfpNativeType::Int32 => zfp_sys::zfp_type_zfp_type_int32,
        ZfpNativeType::Int64 => zfp_sys::zfp_type_zfp_type_int64,
        ZfpNativeType::Float => zfp_sys::zfp_type_zfp_type_float,
        ZfpNativeType::Double => zfp_sys::zfp_type_zfp_type_double,
    };
    let elements = shape.iter().try_fold(1u64, |n, d| n.checked_mul(d.get()));
    if header.elements.is_none() || header.elements != elements || header.kind != wanted {
        return Err(Error::codec(format_args!(
            "zfp: the header is of {:?} elements of type {}, expected {elements:?} of type {wanted}",
            header.elements, header.kind
        )));
    }
    if header.most == 0 || header.most > most {
        return Err(Error::codec(format_args!("zfp: a header that makes {} bytes of a chunk", header.most)));
    }
    Ok(header.most)
}

/// What a header says.
struct Header {
    kind: zfp_sys::zfp_type,
    /// `None` when there are more than can be counted.
    elements: Option<u64>,
    /// Bytes that the decoder may read, 0 when there is no telling.
    most: usize,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self> {
        let mut head = [0u64; SLACK / 8];
        for (word, from) in head.iter_mut().zip(bytes.chunks(8)) {
            let mut whole = [0; 8];
            whole[..from.len()].copy_from_slice(from);
            *word = u64::from_ne_bytes(whole);
        }
        // SAFETY: `head` is valid, and longer than any header, while the bit stream lives; what is opened and allocated
        // is closed and freed once; the field's pointer is never followed, as nothing is decoded.
        unsafe {
            let bits = zfp_sys::stream_open(head.as_mut_ptr().cast(), size_of_val(&head));
            let stream = zfp_sys::zfp_stream_open(bits);
            let field = zfp_sys::zfp_field_alloc();
            let read = zfp_sys::zfp_read_header(stream, field, zfp_sys::ZFP_HEADER_FULL);
            let counts = [(*field).nx, (*field).ny, (*field).nz, (*field).nw].map(|n| (n as u64).max(1));
            let found = Self {
                kind: (*field).type_,
                elements: counts.iter().try_fold(1u64, |n, d| n.checked_mul(*d)),
                most: zfp_sys::zfp_stream_maximum_size(stream, field),
            };
            zfp_sys::zfp_field_free(field);
            zfp_sys::zfp_stream_close(stream);
            zfp_sys::stream_close(bits);
            if read == 0 { Err(Error::codec("zfp: there is no header")) } else { Ok(found) }
        }
    }
}
