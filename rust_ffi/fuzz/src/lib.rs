//! The targets of `rust_ffi/tests/fuzz`, as libFuzzer calls them.

#[allow(dead_code)] // what only the seeded mutator uses
#[path = "../../tests/fuzz/mutate.rs"]
mod mutate;
#[path = "../../tests/fuzz/targets.rs"]
mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzzer_mutate;
use mutate::Random;
use targets::TARGETS;
pub use targets::Target;

/// The target of a name.
pub fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).expect("the name of a target")
}

/// Before libFuzzer reads its corpus: put what is sound, and what was found before, in the folder `ZARRS_C_FUZZ_SEEDS`.
pub fn write_seeds(target: &Target) {
    let Some(folder) = std::env::var_os("ZARRS_C_FUZZ_SEEDS") else { return };
    let seeds = (target.seeds)();
    let all = seeds.iter().map(Vec::as_slice).chain(target.found());
    for (i, seed) in all.enumerate() {
        std::fs::write(std::path::Path::new(&folder).join(format!("seed-{i}")), seed).unwrap();
    }
}

/// Change a document as a tree, or else as libFuzzer changes bytes. Returns how long it is then.
pub fn mutate_json(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| (target("metadata").seeds)());
    let mut random = Random::new(seed.into());
    let mut json = data[..size].to_vec();
    if random.below(4) == 0 || serde_json::from_slice::<serde_json::Value>(&json).is_err() {
        return fuzzer_mutate(data, size, max_size);
    }
    mutate::json(&mut json, &SEEDS[random.below(SEEDS.len())], &mut random);
    if json.len() > max_size {
        return fuzzer_mutate(data, size, max_size);
    }
    data[..json.len()].copy_from_slice(&json);
    json.len()
}

/// The program of a target.
#[macro_export]
macro_rules! fuzzed {
    ($name:literal) => {
        static TARGET: std::sync::LazyLock<&$crate::Target> = std::sync::LazyLock::new(|| $crate::target($name));
        libfuzzer_sys::fuzz_target!(init: $crate::write_seeds(&TARGET), |data: &[u8]| (TARGET.run)(data));
    };
}
