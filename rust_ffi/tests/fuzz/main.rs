//! A seeded, structure-aware fuzzer on stable Rust. `ZARRS_C_FUZZ_SECONDS` is how long each target is fuzzed (default: a
//! moment, as for CI), `ZARRS_C_FUZZ_SEED` where it starts. First each target is run on its corpus: what libFuzzer has
//! found (`corpus/NAME.inputs`), and every input that has ever failed (`corpus/NAME/`). An input under way lies in
//! `$CARGO_TARGET_TMPDIR/fuzz-NAME`, even if the process ends.

mod mutate;
mod targets;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mutate::Random;
use targets::{TARGETS, Target};

/// What one input may take at the most, on a slow and busy machine.
const SECONDS_EACH: u64 = 100;
/// Address space that all inputs may need beyond what the test has at its start.
const ROOM: u64 = 3 << 30;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// From now on, memory that is not there is an error at once, as on a small machine.
fn limit_memory() {
    static DONE: Mutex<bool> = Mutex::new(false);
    let mut done = DONE.lock().unwrap();
    if std::mem::replace(&mut *done, true) || !cfg!(target_os = "linux") {
        return;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let kib: u64 = line.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    let limit = libc::rlimit { rlim_cur: (kib << 10) + ROOM, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the struct is valid; only this process is concerned.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
}

/// Ends the process when an input takes too long.
fn watch(name: &'static str, inputs: &'static AtomicU64) {
    std::thread::spawn(move || {
        let mut before = u64::MAX;
        while before != inputs.load(Ordering::Relaxed) {
            before = inputs.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_secs(SECONDS_EACH));
        }
        if before != u64::MAX && inputs.load(Ordering::Relaxed) != DONE {
            eprintln!("{name}: an input takes more than {SECONDS_EACH} s");
            std::process::abort();
        }
    });
}

const DONE: u64 = u64::MAX - 1;

/// The inputs that have failed.
fn failed(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let Ok(files) = std::fs::read_dir(folder) else { return vec![] };
    let mut found: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    found.sort();
    found.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

fn fuzz(target: &Target, inputs: &'static AtomicU64) {
    let seconds = Duration::from_secs_f64(number("ZARRS_C_FUZZ_SECONDS", 3) as f64);
    let seed = number("ZARRS_C_FUZZ_SEED", 1);
    let current = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", target.name));
    let seeds = (target.seeds)(); // by zarrs, which must not run out of memory
    limit_memory();
    watch(target.name, inputs);
    let found = target.found();
    assert!(!found.is_empty());
    let run = |input: &[u8]| {
        std::fs::write(&current, input).unwrap();
        inputs.fetch_add(1, Ordering::Relaxed);
        (target.run)(input);
    };
    found.iter().for_each(|input| run(input));
    for (path, input) in failed(target.name) {
        println!("{}", path.display());
        run(&input);
    }
    let mut random = Random::new(seed);
    let start = Instant::now();
    let mut n = 0u64;
    while start.elapsed() < seconds || n < seeds.len() as u64 {
        let mut input = seeds[n as usize % seeds.len()].clone();
        if n >= seeds.len() as u64 {
            let other = &seeds[random.below(seeds.len())];
            if target.is_json {
                mutate::json(&mut input, other, &mut random);
            } else {
                mutate::bytes(&mut input, other, &mut random);
            }
        }
        run(&input);
        n += 1;
    }
    inputs.store(DONE, Ordering::Relaxed);
    std::fs::remove_file(current).unwrap();
    println!("{}: {n} inputs, and {} that were found", target.name, found.len());
}

macro_rules! fuzzed {
    ($($test:ident: $index:literal),*) => {$(
        #[test]
        fn $test() {
            static INPUTS: AtomicU64 = AtomicU64::new(0);
            fuzz(&TARGETS[$index], &INPUTS);
        }
    )*};
}

fuzzed!(
    hostile_chunks_decode_or_are_an_error: 0,
    hostile_shards_are_read_or_are_an_error: 1,
    hostile_metadata_opens_or_is_an_error: 2,
    plans_hold_each_element_once: 3,
    parts_of_hostile_chunks_decode_as_the_whole_does: 4
);
