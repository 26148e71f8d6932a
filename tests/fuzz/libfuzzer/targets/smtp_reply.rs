//! The target `smtp_reply`, under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| postroom_fuzz::run("smtp_reply", bytes));
