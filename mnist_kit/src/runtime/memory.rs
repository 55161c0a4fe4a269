//! What becomes of the memory of tensors that are freed.

/// Lets the allocator keep freed memory for the next tensor, up to 2 GB of it.
///
/// Left alone, glibc gives a large block back to the system at once and asks for it again at the next
/// step; the system then clears every page of it anew. With MobileNetV2 and 128 images of 224×224 that
/// took two thirds of the time (PyTorch, two cores). Threads other than the main one go on returning
/// blocks of 64 MB and more.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn keep_freed() {
    // Safety: takes plain numbers, at any time.
    let set = |parameter, bytes| unsafe { libc::mallopt(parameter, bytes) } == 1;
    // Some versions of glibc take no more than 32 MB. Without the first the second would do harm: setting
    // either one ends glibc's own adjustment of both.
    if set(libc::M_MMAP_THRESHOLD, i32::MAX) || set(libc::M_MMAP_THRESHOLD, 32 << 20) {
        set(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}

/// Other systems' allocators have no such thresholds.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_freed() {}
