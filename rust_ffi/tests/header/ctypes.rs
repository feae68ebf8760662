//! How C spells the types of the border.

use std::ffi::{c_char, c_void};

use zarrs_c::abi::*;

/// A type of the border.
pub trait CType {
    fn spelling() -> String;

    /// A pointer to it.
    fn pointer() -> String {
        format!("{} *", Self::spelling())
    }
}

macro_rules! spelled {
    ($($rust:ty => $c:expr),* $(,)?) => {
        $(impl CType for $rust { fn spelling() -> String { $c.to_owned() } })*
    };
}

/// Where C's `char` is unsigned, Rust cannot tell it from `uint8_t`, so there both are `char`.
pub const BYTE: &str = if c_char::MIN == 0 { "char" } else { "uint8_t" };

spelled! {
    () => "void",
    c_void => "void",
    i8 => "char",
    u8 => BYTE,
    u32 => "uint32_t",
    i32 => "int32_t",
    u64 => "uint64_t",
    i64 => "int64_t",
    usize => "size_t",
    isize => "intptr_t",
    zrc_runtime => "zrc_runtime",
    zrc_store => "zrc_store",
    zrc_array => "zrc_array",
    zrc_op => "zrc_op",
    zrc_queue => "zrc_queue",
    zrc_buf => "zrc_buf",
    zrc_error => "zrc_error",
    zrc_str => "zrc_str",
    zrc_runtime_options => "zrc_runtime_options",
    zrc_array_options => "zrc_array_options",
    zrc_io_options => "zrc_io_options",
    zrc_completion => "zrc_completion",
    zrc_complete_fn => "zrc_complete_fn",
    zrc_sink => "zrc_sink",
    zrc_region => "zrc_region",
    zrc_dtype => "zrc_dtype",
    zrc_op_stats => "zrc_op_stats",
    zrc_stats => "zrc_stats",
    zrc_queue_stats => "zrc_queue_stats",
    zrc_request => "zrc_request",
    zrc_request_fn => "zrc_request_fn",
    zrc_drop_fn => "zrc_drop_fn",
    zrc_store_callbacks => "zrc_store_callbacks",
    zrc_entry => "zrc_entry",
    zrc_answer => "zrc_answer",
}

impl<T: CType> CType for *const T {
    fn spelling() -> String {
        format!("{} const *", T::spelling())
    }
}

impl<T: CType> CType for *mut T {
    fn spelling() -> String {
        T::pointer()
    }
}

impl<T: CType, const N: usize> CType for [T; N] {
    fn spelling() -> String {
        unreachable!("C passes no arrays")
    }

    fn pointer() -> String {
        format!("{} (*)[{N}]", T::spelling())
    }
}

/// A function of the border.
pub trait CFunction {
    /// How C declares one of this type; `declarator` is a name, or `(*name)` for a pointer.
    fn declaration(declarator: &str) -> String;
}

macro_rules! function {
    ($($parameter:ident)*) => {
        impl<R: CType, $($parameter: CType),*> CFunction for unsafe extern "C" fn($($parameter),*) -> R {
            fn declaration(declarator: &str) -> String {
                let parameters: &[String] = &[$($parameter::spelling()),*];
                let parameters = if parameters.is_empty() { "void".to_owned() } else { parameters.join(", ") };
                format!("{} {declarator}({parameters});\n", R::spelling())
            }
        }
    };
}
function!();
function!(A);
function!(A B);
function!(A B C);
function!(A B C D);
function!(A B C D E);
function!(A B C D E F);
function!(A B C D E F G);
function!(A B C D E F G H);
