//! Memory for tables.
//!
//! Training makes and drops tables of the same sizes in every step. mimalloc keeps their pages, where other allocators
//! give them back and fault them in again; and large ones ask the system for huge pages, without which the rows that a
//! sparse product gathers miss the translation cache.

use std::alloc::{GlobalAlloc, Layout};

use mimalloc::MiMalloc;

/// mimalloc with huge pages for large allocations.
pub(crate) struct Allocator;

/// From here on at least one huge page of 2 MiB lies inside, wherever the allocation begins.
const LARGE: usize = 4 << 20;

// SAFETY: every call is passed on to mimalloc with the layout it came with; the advice changes no content.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let memory = unsafe { MiMalloc.alloc(layout) };
        advise(memory, layout.size());
        memory
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let memory = unsafe { MiMalloc.alloc_zeroed(layout) };
        advise(memory, layout.size());
        memory
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let memory = unsafe { MiMalloc.realloc(memory, layout, size) };
        advise(memory, size);
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { MiMalloc.dealloc(memory, layout) }
    }
}

/// Asks for huge pages for the whole pages of a large allocation. A system that has none goes on as before.
#[cfg(target_os = "linux")]
fn advise(memory: *mut u8, size: usize) {
    const PAGE: usize = 4096;
    if size >= LARGE && !memory.is_null() {
        let skipped = memory.align_offset(PAGE);
        let length = (size - skipped) / PAGE * PAGE;
        // SAFETY: the range lies inside the allocation, and this advice leaves its content alone.
        let _ = unsafe {
            rustix::mm::madvise(memory.add(skipped).cast(), length, rustix::mm::Advice::LinuxHugepage)
        };
    }
}

#[cfg(not(target_os = "linux"))]
fn advise(_memory: *mut u8, _size: usize) {}
