//! Kernels on the CPU: CUDA C++ behind [`host.hpp`](../host.hpp), compiled by the machine's C++ compiler and loaded.

use std::ffi::c_void;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use cubecl::CubeDim;
use cubecl_runtime::server::MetadataBindingInfo;
use libloading::Library;

use crate::cache;

const BEFORE: &str = include_str!("host.hpp");

type Launch = unsafe extern "C" fn(*const *mut u8, *const c_void, *const u32, *const u32, bool);

/// A loaded kernel.
#[derive(Debug)]
pub(crate) struct Kernel {
    library: Library,
    block: [u32; 3],
    /// One launch at a time: units and cubes are told by global variables of the library.
    turn: Mutex<()>,
}

/// The compiler: `$CXX`, or c++.
fn compiler() -> String {
    std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned())
}

/// The library of this text, compiled unless it was before.
fn library(name: &str, text: &str) -> PathBuf {
    // Multiplications and additions are joined as NVRTC joins them.
    let arguments = [
        "-std=c++17",
        "-O1",
        "-march=native",
        "-ffp-contract=fast",
        "-fno-strict-aliasing",
        "-w",
        "-shared",
        "-fPIC",
        "-o",
    ];
    let done = cache::file(&[text, &compiler(), &arguments.join(" ")], "so");
    if done.exists() {
        return done;
    }
    // Of one process alone, whose kernels are compiled one after another, until it stands under its name.
    let own = done.with_extension(format!("{}", std::process::id()));
    let (source, made) = (own.with_added_extension("cpp"), own.with_added_extension("so"));
    let written = std::fs::write(&source, text);
    written.unwrap_or_else(|error| panic!("{}: {error}", source.display()));
    let out = Command::new(compiler()).args(arguments).arg(&made).arg(&source).output();
    let out = out.unwrap_or_else(|error| panic!("a C++ compiler is needed, and {}: {error}", compiler()));
    assert!(out.status.success(), "{name}:\n{}\n{text}", String::from_utf8_lossy(&out.stderr));
    let renamed = std::fs::rename(&made, &done).and_then(|()| std::fs::remove_file(&source));
    renamed.unwrap_or_else(|error| panic!("{}: {error}", done.display()));
    done
}

impl Kernel {
    pub(crate) fn new(name: &str, cuda: &str, block: CubeDim) -> Self {
        // The headers of CUDA are what stands before.
        let cuda = cuda.replace("#include <cuda_runtime.h>", "");
        let barriers = cuda.contains("dynamic_shared_mem") || cuda.contains("__syncthreads");
        let text = format!(
            "{BEFORE}\n{cuda}\n\nextern \"C\" void launch(void *const *buffers, const void *info, const unsigned *grid, const \
             unsigned *block, bool backwards) {{\n    host::launch<{name}>(buffers, info, grid, block, backwards, \
             {barriers});\n}}\n"
        );
        let path = library(name, &text);
        // SAFETY: loading runs no code of its own.
        let library = unsafe { Library::new(&path) };
        let library = library.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { library, block: [block.x, block.y, block.z], turn: Mutex::new(()) }
    }

    /// Runs it over so many cubes, `backwards` from the last unit to the first.
    ///
    /// # Safety
    ///
    /// The kernel must keep to its buffers.
    pub(crate) unsafe fn run(
        &self,
        mut buffers: Vec<*mut u8>,
        info: &MetadataBindingInfo,
        grid: [u32; 3],
        backwards: bool,
    ) {
        let _turn = self.turn.lock();
        if let Some(metadata) = info.data.get(info.dynamic_metadata_offset..) {
            buffers.push(metadata.as_ptr().cast_mut().cast());
        }
        // SAFETY: the function is of this type, and the caller answers for the kernel.
        unsafe {
            let launch = self.library.get::<Launch>(b"launch");
            let launch = launch.unwrap_or_else(|error| panic!("{error}"));
            launch(
                buffers.as_ptr(),
                info.data.as_ptr().cast(),
                grid.as_ptr(),
                self.block.as_ptr(),
                backwards,
            );
        }
    }
}
