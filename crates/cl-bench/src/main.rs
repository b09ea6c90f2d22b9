//! The program `cl-bench`: the components of this workspace and no others.

use std::process::ExitCode;

use cl_bench::Builtin;

// Training makes and drops tables of the same sizes in every step; this allocator keeps their pages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cl_bench::main(&Builtin)
}
