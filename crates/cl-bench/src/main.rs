//! The program `cl-bench`: the components of this workspace and no others.

mod allocator;

use std::process::ExitCode;

use allocator::Allocator;
use cl_bench::Builtin;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    cl_bench::main(&Builtin)
}
