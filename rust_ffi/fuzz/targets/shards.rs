#![no_main]

zarrs_c_fuzz::fuzzed!("shards");
