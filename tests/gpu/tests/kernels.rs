//! The tests that hold kernels to the portable operations, on the GPU backends that are compiled in. They are the files that
//! the crates of the kernels run on CPU backends; one program for all, because a GPU backend takes minutes to compile.
#![cfg(any(feature = "wgpu", feature = "cuda", feature = "cuda-on-host"))]
// Each file brings what tests share.
#![allow(clippy::duplicate_mod)]

#[path = "../../../crates/cl-core/tests/kernels.rs"]
mod contrast_and_optimizer;
#[path = "../../../crates/cl-graph/tests/kernels.rs"]
mod graph;
#[path = "../../../crates/cl-seq/tests/planned.rs"]
mod planned;
#[path = "../../../crates/cl-eval/tests/kernels.rs"]
mod ranking;
#[path = "../../../crates/cl-seq/tests/row_kernels.rs"]
mod rows;
#[path = "../../../crates/cl-core/tests/sampled_kernels.rs"]
mod sampled;
#[path = "../../../crates/cl-seq/tests/kernels.rs"]
mod sequences;
#[path = "../../../crates/cl-graph/tests/view_kernels.rs"]
mod views;
