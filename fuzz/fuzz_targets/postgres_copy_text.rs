#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| engine::target::postgres::fuzz_copy_text(bytes));
