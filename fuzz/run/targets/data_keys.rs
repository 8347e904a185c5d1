//! `data_keys` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| enroute_fuzz::run("data_keys", bytes));
