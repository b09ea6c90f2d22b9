//! GPUs: whether one answers, and what is said when it fails at work.
//!
//! A GPU backend works on threads of its own. When one of them panics, the program would go on and read numbers that were
//! never computed; so its panics are heard here.

use std::panic::PanicHookInfo;
#[cfg(feature = "cuda")]
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::error::Error;

/// The backend for developers, which stands for a GPU on the processor.
const ON_HOST: &str = "cuda-on-host";

/// Whether operations return before they are done, so that each reading waits: a GPU's.
///
/// The backend's type tells. Its name in Burn would too, but a GPU backend starts the device to say it.
pub(crate) fn answers_later<B: Backend>() -> bool {
    let name = std::any::type_name::<B>();
    ["cubecl", "fusion"].iter().any(|later| name.contains(later))
}

/// What the experiment file calls the backend; its type tells.
fn name_of<B: Backend>() -> &'static str {
    let of_type = std::any::type_name::<B>();
    let known = [("cuda_on_host", ON_HOST), ("cuda", "cuda"), ("wgpu", "wgpu")];
    known.into_iter().find(|(part, _)| of_type.contains(part)).map_or(of_type, |(_, name)| name)
}

/// Refuses a backend whose device does not answer, before anything depends on it; from then on a failure of the device
/// ends the program.
///
/// # Errors
///
/// What is missing.
pub(crate) fn check<B: Backend>(device: &B::Device) -> Result<(), Error> {
    if !answers_later::<B>() {
        return Ok(());
    }
    let name = name_of::<B>();
    // The host is always there, and answers nothing when it is told to be idle.
    if name != ON_HOST {
        probe::<B>(device, name).map_err(|why| {
            Error::with_help(
                format!("backend `{name}` has no usable device: {why}"),
                "set device.backend = \"flex\" to run on the processor",
            )
        })?;
    }
    stop_when_it_fails();
    Ok(())
}

/// Lets the device compute 1 + 1; it finds out that it is not there only when it is first used.
fn probe<B: Backend>(device: &B::Device, name: &str) -> Result<(), String> {
    if name == "cuda" {
        parts_of_cuda()?;
    }
    let heard = Arc::new(Mutex::new(Vec::<String>::new()));
    let usual = std::panic::take_hook();
    let listener = heard.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload_as_str().unwrap_or_default().trim().to_string();
        listener.lock().unwrap_or_else(PoisonError::into_inner).push(said);
    }));
    let touch = || {
        let one = Tensor::<B, 1>::ones([1], device).add_scalar(1.0);
        B::sync(device).map_err(|error| format!("{error:?}"))?;
        let sum = one.into_data().convert::<f32>().to_vec::<f32>();
        if sum.is_ok_and(|sum| sum == [2.0]) { Ok(()) } else { Err("it computed 1 + 1 wrong".to_string()) }
    };
    let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(touch));
    std::panic::set_hook(usual);
    // The first to panic is the device's thread, and knows why.
    let first = || heard.lock().unwrap_or_else(PoisonError::into_inner).first().cloned();
    answer.unwrap_or_else(|_| Err(first().unwrap_or_else(|| "it does not answer".to_string())))
}

/// The driver, the compiler of kernels and its headers, one after another.
#[cfg(feature = "cuda")]
fn parts_of_cuda() -> Result<(), String> {
    // Safety: both only ask the loader for a library.
    let [driver, compiler] =
        unsafe { [cudarc::driver::sys::is_culib_present(), cudarc::nvrtc::sys::is_culib_present()] };
    if !driver {
        return Err("there is no CUDA driver (libcuda.so.1) on this machine".into());
    }
    let headers = ["/usr/local/cuda", "/opt/cuda", "/usr"].map(PathBuf::from);
    let headers = std::env::var_os("CUDA_PATH").map_or(headers.to_vec(), |path| vec![path.into()]);
    let has_headers = headers.iter().any(|path| path.join("include/cuda_runtime.h").exists());
    if !compiler {
        return Err("the driver is there, but not NVRTC (libnvrtc.so), which compiles the kernels: install the CUDA toolkit".into());
    }
    if !has_headers {
        return Err(
            "CUDA's headers (include/cuda_runtime.h, which kernels are compiled with) were not found below CUDA_PATH or \
             /usr/local/cuda: install the CUDA toolkit, or let CUDA_PATH name its folder"
                .into(),
        );
    }
    match cudarc::driver::CudaContext::device_count() {
        Ok(0) => Err("the CUDA driver sees no device".into()),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("the CUDA driver says {error}")),
    }
}

#[cfg(not(feature = "cuda"))]
fn parts_of_cuda() -> Result<(), String> {
    Ok(())
}

/// How a panic begins where something is read from a device that has failed: what a launch could not do is told to whoever
/// reads next, on any thread.
const READINGS: [&str; 2] = ["Error while reading data", "rankings could not be read from the device"];

/// Ends the program, with an error like any other, as soon as a thread of the device panics or a reading fails. Files are
/// written whole or not at all, so that the last checkpoint stays good.
fn stop_when_it_fails() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        // CubeCL's device threads and Fusion's.
        let of_device =
            thread.name().is_some_and(|name| name.starts_with("DSD-") || name.starts_with("DSU-"));
        let said = said(panic);
        if !of_device && !READINGS.iter().any(|reading| said.starts_with(reading)) {
            return usual(panic);
        }
        crate::cli::report(failure(&said));
        std::process::exit(1);
    }));
}

fn said(panic: &PanicHookInfo<'_>) -> String {
    panic.payload_as_str().unwrap_or("no reason was given").trim().to_string()
}

/// What is told of a failure: the device's own words, without the trace that follows them, and what to do.
fn failure(said: &str) -> Error {
    let end =
        ["\nBacktrace", "\\nBacktrace", ", backtrace"].iter().filter_map(|trace| said.find(trace)).min();
    let said = &said[..end.unwrap_or(said.len())];
    // Who read something tells its story from the outside in.
    let said = said.rsplit("Caused by:").next().unwrap_or(said).trim();
    let words = said.to_lowercase();
    let memory = ["allocate", "out of memory", "outofmemory", "out_of_memory", "buffer of size"];
    if memory.iter().any(|word| words.contains(word)) {
        return Error::with_help(
            format!("the device has not enough memory: {said}"),
            "a smaller train.batch_size, encoder.dim, objective.negatives_per_positive, negatives.size or, for sequences, encoder.max_length needs less; \
             contrast over all nodes needs more than over a batch; the last checkpoint is untouched, and \
             device.backend = \"flex\" runs on the processor",
        );
    }
    Error::with_help(
        format!("the device failed: {said}"),
        "the last checkpoint is untouched: --resume goes on from there",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_memory_is_told_from_other_failures() {
        let memory = failure("can't allocate buffer of size: 153600000").to_string();
        assert_eq!(memory, "the device has not enough memory: can't allocate buffer of size: 153600000");
        assert_eq!(failure("shader").to_string(), "the device failed: shader");
        let traced =
            "Error while reading data: An error happened\nCaused by:\n  launch\nBacktrace:\n   0: main";
        assert_eq!(failure(traced).to_string(), "the device failed: launch");
    }

    #[test]
    fn a_processor_answers_at_once_and_needs_no_check() {
        assert!(!answers_later::<burn::backend::Autodiff<burn_flex::Flex>>());
        assert!(check::<burn_flex::Flex>(&Default::default()).is_ok());
    }
}
