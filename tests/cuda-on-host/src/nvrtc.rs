//! Kernels compiled for GPUs by NVRTC.

use std::ffi::{CStr, CString};
use std::sync::Once;

use cubecl::cuda::install::{cccl_include_path, cuda_path, include_path};
use cudarc::nvrtc::{result, sys};

use crate::cache;

/// The GPUs that a kernel is compiled for: Ampere, and Hopper as CubeCL asks for it.
const ARCHITECTURES: [&str; 2] = ["sm_80", "sm_90a"];

/// Whether the library and CUDA's headers are there.
fn found() -> bool {
    // SAFETY: looks for the library, and calls nothing in it.
    let library = unsafe { sys::is_culib_present() };
    library && cuda_path().is_some_and(|path| path.join("include/cuda_runtime.h").exists())
}

/// Compiles the kernel with the options that CubeCL gives.
///
/// # Panics
///
/// If NVRTC refuses it, with its words; if there is no NVRTC and `CL_REQUIRE_NVRTC` is set.
pub(crate) fn check(name: &str, source: &str) {
    static TOLD: Once = Once::new();
    if !found() {
        assert!(
            std::env::var_os("CL_REQUIRE_NVRTC").is_none(),
            "CL_REQUIRE_NVRTC is set, and libnvrtc or $CUDA_PATH/include/cuda_runtime.h was not found"
        );
        TOLD.call_once(|| eprintln!("kernels run on the CPU alone: NVRTC or CUDA's headers were not found"));
        return;
    }
    TOLD.call_once(|| eprintln!("kernels are compiled with NVRTC for {}", ARCHITECTURES.join(" and ")));
    let passed = cache::file(&[source, &ARCHITECTURES.join(" "), &version()], "nvrtc");
    if passed.exists() {
        return;
    }
    for architecture in ARCHITECTURES {
        if let Err(error) = compile(source, architecture) {
            panic!("{name} for {architecture}: {error}\n{source}");
        }
    }
    std::fs::write(&passed, version()).unwrap_or_else(|error| panic!("{}: {error}", passed.display()));
}

/// Which NVRTC it is.
fn version() -> String {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: both numbers outlive the call.
    let answer = unsafe { sys::nvrtcVersion(&mut major, &mut minor) };
    format!("{major}.{minor} ({answer:?})")
}

fn compile(source: &str, architecture: &str) -> Result<(), String> {
    let include = |path: std::path::PathBuf| format!("--include-path={}", path.display());
    let options = [
        format!("--gpu-architecture={architecture}"),
        include(include_path()),
        include(cccl_include_path()),
        "-lineinfo".to_owned(),
    ];
    let source = CString::new(source).map_err(|error| error.to_string())?;
    // SAFETY: the source ends with a zero and outlives the program, which is read and destroyed here.
    unsafe {
        let program = result::create_program(&source, None).map_err(|error| error.to_string())?;
        let compiled = result::compile_program(program, &options);
        let log = result::get_program_log(program).map_err(|error| error.to_string())?;
        let log = CStr::from_ptr(log.as_ptr()).to_string_lossy().into_owned();
        result::destroy_program(program).map_err(|error| error.to_string())?;
        compiled.map_err(|error| format!("{error}\n{log}"))
    }
}
