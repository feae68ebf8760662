//! Gives the library its own name, which rustc does not: without one, whoever links to it would record the full
//! path at which it lay then. And keeps what C symbols other crates bring (crc-fast has some) inside of the library:
//! it exports the functions of zarrs_c.h and nothing else, which `tests/test_c_abi.py` checks.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("macos") => {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libzarrs_c.dylib");
        }
        Ok("windows") => {}
        _ => println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libzarrs_c.so,--exclude-libs,ALL"),
    }
}
