#![no_main]

zarrs_c_fuzz::fuzzed!("metadata");

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    zarrs_c_fuzz::mutate_json(data, size, max_size, seed)
});
