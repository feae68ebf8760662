//! Structs that grow: each begins with its size as its user knew it, which may be older or newer than ours.

use std::fmt::Display;
use std::mem::MaybeUninit;
use std::ptr;

use crate::engine::error::{Error, Result};

/// A struct of the header that may be read from bytes.
///
/// # Safety
/// `repr(C)`, and valid whatever its bytes are (integers and raw pointers only).
pub(super) unsafe trait Plain: Copy {}

/// A [`Plain`] struct that begins with `struct_size`.
///
/// # Safety
/// As for [`Plain`], and the first field is a `usize` of that name.
pub(super) unsafe trait Versioned: Plain {
    /// The smallest that can be: where a struct hands things over, the fields that carry them.
    const LEAST: usize = size_of::<usize>();
}

/// Larger than any struct will be. Who says more has most likely not set `struct_size` at all, and believing it would
/// mean to read memory that is not there.
const MOST: usize = 4096;

fn check_size(size: usize, least: usize, what: impl Display) -> Result<usize> {
    if (least..=MOST).contains(&size) {
        return Ok(size);
    }
    Err(Error::invalid(format_args!(
        "{what} must be between {least} and {MOST}, not {size}; has it been set?"
    )))
}

/// Copy a struct of `size` bytes: what ours has more becomes zero, what it has more must be zero.
///
/// # Safety
/// `from` has `size` readable bytes.
unsafe fn complete<T: Plain>(from: *const T, size: usize, name: impl Display) -> Result<T> {
    let mut whole = MaybeUninit::<T>::zeroed();
    let known = size.min(size_of::<T>());
    // SAFETY: both sides have `known` bytes, and `whole` is a local.
    unsafe { ptr::copy_nonoverlapping(from.cast::<u8>(), whole.as_mut_ptr().cast(), known) };
    for at in known..size {
        // SAFETY: `at` is less than `size`.
        if unsafe { from.cast::<u8>().add(at).read() } != 0 {
            return Err(Error::invalid(format_args!(
                "{name} sets byte {at} of {size}, which this version (of {known} bytes) does not know"
            )));
        }
    }
    // SAFETY: every byte is set and `T` is valid whatever they are.
    Ok(unsafe { whole.assume_init() })
}

/// A struct parameter; NULL stands for all defaults.
///
/// # Safety
/// The rules *pointers* and *structs*.
pub(super) unsafe fn options<T: Versioned>(from: *const T, name: &str) -> Result<T> {
    if from.is_null() {
        // SAFETY: `T` is valid whatever its bytes are.
        return Ok(unsafe { MaybeUninit::zeroed().assume_init() });
    }
    // SAFETY: the caller's promises; the size is the first field.
    unsafe {
        let size = from.cast::<usize>().read_unaligned();
        let size = check_size(size, T::LEAST, format_args!("{name}.struct_size"))?;
        complete(from, size, name)
    }
}

/// Element `i` of an array of structs without a size of their own, `stride` bytes apart.
///
/// # Safety
/// The rule *pointers*; `stride` has passed [`stride`].
pub(super) unsafe fn element<T: Plain>(
    first: *const T,
    i: usize,
    stride: usize,
    name: impl Display,
) -> Result<T> {
    // SAFETY: the caller's promises.
    unsafe { complete(first.byte_add(i * stride), stride, name) }
}

/// The distance of an array's structs: as the caller says, or ours.
pub(super) fn stride<T>(said: usize, name: &str) -> Result<usize> {
    if said == 0 { Ok(size_of::<T>()) } else { check_size(said, size_of::<usize>(), name) }
}

/// A struct that the library fills. Only its `struct_size` is read.
pub(super) struct Filled<T> {
    to: *mut T,
    size: usize,
}

impl<T: Versioned> Filled<T> {
    /// # Errors
    /// `to` is NULL, or its `struct_size` is not set.
    ///
    /// # Safety
    /// The rules *pointers* and *structs*, until the call returns.
    pub(super) unsafe fn required(to: *mut T, name: &str) -> Result<Self> {
        // SAFETY: the caller's promise.
        match unsafe { Self::optional(to, name) }? {
            Some(place) => Ok(place),
            None => Err(Error::invalid(format_args!("{name} must not be NULL"))),
        }
    }

    /// # Errors
    /// The `struct_size` is not set.
    ///
    /// # Safety
    /// As for [`Self::required`].
    pub(super) unsafe fn optional(to: *mut T, name: &str) -> Result<Option<Self>> {
        if to.is_null() {
            return Ok(None);
        }
        // SAFETY: the caller's promises; the size is the first field.
        let size = unsafe { to.cast::<usize>().read_unaligned() };
        let size = check_size(size, T::LEAST, format_args!("{name}.struct_size"))?;
        Ok(Some(Self { to, size }))
    }

    pub(super) fn put(&self, value: &T) {
        // SAFETY: the promise given at `required`.
        unsafe { self.put_at(0, value) };
    }

    /// Fill element `i` of an array whose first element this is.
    ///
    /// # Safety
    /// The array has more than `i` elements.
    pub(super) unsafe fn put_at(&self, i: usize, value: &T) {
        // SAFETY: the caller's promise: element `i` has `size` writable bytes, of which `value` has the first.
        unsafe {
            let to = self.to.cast::<u8>().add(i * self.size);
            let known = self.size.min(size_of::<T>());
            ptr::copy_nonoverlapping(ptr::from_ref(value).cast(), to, known);
            to.add(known).write_bytes(0, self.size - known);
            to.cast::<usize>().write_unaligned(self.size);
        }
    }
}

/// Say that structs may be read and written as bytes, and check what that takes as far as a compiler can.
macro_rules! versioned {
    ($($name:ident),*) => {$(
        // SAFETY: `repr(C)`, integers and raw pointers only, `struct_size` first.
        unsafe impl $crate::abi::layout::Plain for $name {}
        // SAFETY: as above; the offset is asserted below.
        unsafe impl $crate::abi::layout::Versioned for $name {}
        const _: () = assert!(std::mem::offset_of!($name, struct_size) == 0);
    )*};
}
pub(super) use versioned;

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Ours {
        struct_size: usize,
        a: u64,
        b: u32,
        c: u32,
    }
    versioned!(Ours);

    fn read(words: &[u64]) -> Result<Ours> {
        // SAFETY: each caller below has as many bytes as it says, or says too much and is refused.
        unsafe { options(words.as_ptr().cast::<Ours>(), "options") }
    }

    #[test]
    fn a_shorter_struct_is_completed_with_zeros() {
        assert_eq!(read(&[16, 7]).unwrap(), Ours { struct_size: 16, a: 7, b: 0, c: 0 });
        assert_eq!(read(&[20, 7, 0x9_0000_0008]).unwrap(), Ours { struct_size: 20, a: 7, b: 8, c: 0 });
    }

    #[test]
    fn a_longer_struct_is_accepted_while_its_unknown_tail_is_zero() {
        assert_eq!(read(&[40, 7, 0, 0, 0]).unwrap().a, 7);
        let error = read(&[40, 7, 0, 0, 1 << 56]).unwrap_err();
        assert_eq!(
            &*error.message,
            "options sets byte 39 of 40, which this version (of 24 bytes) does not know"
        );
    }

    #[test]
    fn a_size_that_cannot_be_is_refused_before_anything_is_read() {
        for size in [0, 7, 4097, u64::MAX] {
            let error = read(&[size]).unwrap_err();
            assert!(error.message.contains("options.struct_size must be between 8 and 4096"), "{error}");
        }
    }

    #[test]
    fn a_struct_is_filled_as_far_as_its_user_knows_it_and_zeroed_beyond() {
        let value = Ours { struct_size: 0, a: 1, b: 2, c: 3 };
        for (size, expected) in [
            (16, [16, 1, u64::MAX, u64::MAX]),
            (24, [24, 1, 0x3_0000_0002, u64::MAX]),
            (32, [32, 1, 0x3_0000_0002, 0]),
        ] {
            let mut words = [u64::MAX; 4];
            words[0] = size;
            // SAFETY: `words` has at least `size` bytes.
            unsafe { Filled::required(words.as_mut_ptr().cast::<Ours>(), "out") }.unwrap().put(&value);
            assert_eq!(words, expected);
        }
    }
}
