//! `include/zarrs_c.h` and the Rust side say the same, or this fails.
//!
//! From the Rust types the test writes C: every function declared again (C refuses a second declaration that differs),
//! every size, offset, field type and value as a static assertion. A C compiler then judges it together with the
//! header. To a C compiler `size_t` and `uint64_t` may be one type; so before the header is read, each such name is
//! given a type of its own. The names on both sides are compared as sets. That all this notices anything is shown on
//! headers that were changed on purpose.

#[path = "header/ctypes.rs"]
mod ctypes;
#[path = "header/rust_side.rs"]
mod rust_side;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use rust_side::{RustSide, rust_side};

const HEADER: &str = include_str!("../../include/zarrs_c.h");

/// Give each integer type of the header a C type that no other is compatible with.
fn distinct_integers() -> String {
    let mut text = "#include <stddef.h>\n#include <stdint.h>\n#include <string.h>\n".to_owned();
    for name in ["size_t", "intptr_t", "uint64_t", "int64_t", "uint32_t", "int32_t", "uint8_t"] {
        if name == "uint8_t" && ctypes::BYTE == "char" {
            text += "#define uint8_t char\n";
        } else {
            writeln!(
                text,
                "typedef struct {{ {name} value; }} distinct_{name};\n#define {name} distinct_{name}"
            )
            .unwrap();
        }
    }
    text
}

/// Compile the Rust side's checks against `header`. `Err` has what the compiler says.
fn compile(header: &str, side: &RustSide, name: &str) -> Result<(), String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("zarrs_c.h"), header).unwrap();
    let source = format!("{}#include \"zarrs_c.h\"\n{}", distinct_integers(), side.checks);
    let file = folder.join("check.c");
    fs::write(&file, source).unwrap();
    let cc = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut words = cc.split_whitespace();
    let output = Command::new(words.next().expect("CC is set, but empty"))
        .args(words)
        .args(["-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"])
        .arg(&file)
        .output()
        .unwrap_or_else(|e| panic!("cannot run the C compiler {cc}: {e}"));
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn without_comments(header: &str) -> String {
    let mut code = String::new();
    for part in header.split("*/") {
        code += part.split("/*").next().unwrap();
    }
    code
}

/// The words after each `start` for which `keep` likes what follows them.
fn words_after<'a>(code: &'a str, start: &str, keep: impl Fn(&str) -> bool) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices(start) {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let word = &code[at + if start.ends_with(' ') { start.len() } else { 0 }..];
        let end = word.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(word.len());
        if keep(&word[end..]) {
            found.insert(&word[..end]);
        }
    }
    found
}

/// What differs between a header and the Rust side.
fn compare(header: &str, name: &str) -> Result<(), String> {
    let side = rust_side();
    let code = without_comments(header);
    let functions = words_after(&code, "zrc_", |rest| rest.starts_with('('));
    let structs = words_after(&code, "typedef struct ", |rest| rest.starts_with(" {"));
    let constants = words_after(&code, "#define ", |rest| rest.starts_with(' '));
    for (what, in_c, in_rust) in [
        ("functions", functions, &side.functions),
        ("structs", structs, &side.structs),
        ("constants", constants, &side.constants),
    ] {
        let in_rust: BTreeSet<_> = in_rust.iter().copied().collect();
        if in_c != in_rust {
            let differ: Vec<_> = in_c.symmetric_difference(&in_rust).collect();
            return Err(format!("{what} of one side only: {differ:?}"));
        }
    }
    compile(header, &side, name)
}

#[test]
fn the_header_and_rust_agree() {
    if let Err(difference) = compare(HEADER, "as-it-is") {
        panic!("include/zarrs_c.h and rust_ffi/src/abi differ:\n{difference}");
    }
}

#[test]
fn every_kind_of_drift_is_noticed() {
    let changes = [
        ("a value", "#define ZRC_E_CODEC       4", "#define ZRC_E_CODEC       5"),
        ("a flag", "#define ZRC_IO_NO_FAST_PATH 2u", "#define ZRC_IO_NO_FAST_PATH 4u"),
        ("a field's width", "uint32_t io_threads;", "uint64_t io_threads;"),
        ("a field's sign", "int64_t *step;", "uint64_t *step;"),
        ("a field's constness", "const int64_t *step;", "int64_t *step;"),
        ("a field's type of equal size", "uint64_t tag;      /*", "size_t tag;      /*"),
        ("an array's length", "char name[32];", "char name[64];"),
        ("a new field", "  void *result; ", "  void *reserved;\n  void *result; "),
        ("a new field at the end", "  uint64_t wakes; ", "  uint64_t sleeps;\n  uint64_t wakes; "),
        ("a lost field", "  uint64_t heads;\n", ""),
        (
            "two fields swapped",
            "  uint64_t bytes_in_flight;\n  uint64_t peak_bytes_in_flight;\n",
            "  uint64_t peak_bytes_in_flight;\n  uint64_t bytes_in_flight;\n",
        ),
        ("a parameter's width", "zrc_op *op, uint32_t timeout_ms,", "zrc_op *op, uint64_t timeout_ms,"),
        (
            "a parameter's handle",
            "void zrc_array_release(zrc_array *array);",
            "void zrc_array_release(zrc_store *array);",
        ),
        (
            "a parameter's constness",
            "zrc_store_url(const zrc_store *store)",
            "zrc_store_url(zrc_store *store)",
        ),
        (
            "a lost parameter",
            "zrc_array_shape(const zrc_array *array, uint64_t *out, size_t capacity)",
            "zrc_array_shape(const zrc_array *array, uint64_t *out)",
        ),
        ("a result", "size_t zrc_queue_drain(", "uint64_t zrc_queue_drain("),
        ("a callback", "(*zrc_complete_fn)(void *ctx,", "(*zrc_complete_fn)(const void *ctx,"),
        ("a function renamed", "zrc_queue_wake(zrc_queue *queue)", "zrc_queue_poke(zrc_queue *queue)"),
        (
            "a function that Rust lacks",
            "void zrc_buf_free(",
            "void zrc_buf_retain(zrc_buf *buf);\nvoid zrc_buf_free(",
        ),
        (
            "a constant that Rust lacks",
            "#define ZRC_IO_FAIL_FAST ",
            "#define ZRC_IO_OTHER 4u\n#define ZRC_IO_FAIL_FAST ",
        ),
    ];
    for (i, (kind, from, to)) in changes.into_iter().enumerate() {
        assert!(HEADER.contains(from), "the header no longer has {from:?}, by which {kind} is tried");
        let drifted = HEADER.replacen(from, to, 1);
        assert!(compare(&drifted, &format!("drifted-{i}")).is_err(), "not noticed: {kind}");
    }
}
