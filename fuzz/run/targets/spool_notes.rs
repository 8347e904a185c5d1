//! `spool_notes` under libFuzzer. A panic of the store that our code catches is none, so
//! libFuzzer's hook, which ends the process before it can be caught, is taken off.

#![no_main]

libfuzzer_sys::fuzz_target!(
    init: drop(std::panic::take_hook()),
    |bytes: &[u8]| enroute_fuzz::run("spool_notes", bytes)
);
