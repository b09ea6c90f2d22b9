//! Nothing but tests: see `tests/kernels.rs`.
