//! Bounds on what the readers accept, so that a small file cannot fill the memory.

/// The most images of one split. EMNIST's largest has 698,000.
pub(super) const MAX_IMAGES: u64 = 1_000_000;

/// The most bytes of pixels or labels that compressed content may expand to.
const MAX_UNPACKED: u64 = MAX_IMAGES * 28 * 28;

/// Returns the most bytes that `stored` bytes of a file may expand to. MNIST's images expand fivefold,
/// deflate's zeros a thousandfold.
pub(super) fn most_unpacked(stored: u64) -> u64 {
    stored.saturating_mul(64).saturating_add(64 << 20).min(MAX_UNPACKED)
}
