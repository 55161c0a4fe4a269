//! Reuse of freed memory.

/// Lets the allocator keep up to 2 GB of freed memory for the next tensor.
///
/// By default, glibc returns a large block to the system at once and requests it again at the next
/// step; the system then clears every page of it. With MobileNetV2 and 128 images of 224×224 that
/// took two thirds of the time (PyTorch, two cores). Threads other than the main one still return
/// blocks of 64 MB and more.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn keep_freed() {
    // Safety: mallopt takes plain numbers and may be called at any time.
    let set = |parameter, bytes| unsafe { libc::mallopt(parameter, bytes) } == 1;
    // Some versions of glibc accept at most 32 MB. Setting one threshold ends glibc's automatic
    // adjustment of both, so the second must not be set without the first.
    if set(libc::M_MMAP_THRESHOLD, i32::MAX) || set(libc::M_MMAP_THRESHOLD, 32 << 20) {
        set(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}

/// Allocators of other systems have no such thresholds.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_freed() {}
