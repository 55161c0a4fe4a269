//! Progress of long calls, in a kernel with live output.

use super::channel;
use crate::table::{escape, thousands};
use serde_json::json;
use std::time::{Duration, Instant};

/// The time between two updates, and by default how long a call takes before its bar appears.
const INTERVAL: Duration = Duration::from_millis(200);

/// A progress bar of a notebook cell, with rate and time left.
///
/// It appears in the project's kernel if the work takes longer than 0.2 s, is updated up to five
/// times a second, and keeps its last state, which is sent when the bar is dropped. Elsewhere it
/// shows nothing.
///
/// ```
/// use mnist_kit::ProgressBar;
///
/// let mut bar = ProgressBar::new("rotate", 300).unit("images");
/// for _batch in 0..3 {
///     bar.advance(100);
/// }
/// assert_eq!(bar.position(), 300);
/// ```
#[derive(Debug)]
pub struct ProgressBar {
    /// `None` for a bar that is never shown.
    id: Option<String>,
    label: String,
    unit: String,
    total: u64,
    /// The position at the start, which does not count for the rate.
    start: u64,
    position: u64,
    note: String,
    /// The time that a call takes before its bar appears.
    delay: Duration,
    started: Instant,
    shown: Option<Instant>,
}

impl ProgressBar {
    /// Starts a bar over `total` steps.
    pub fn new(label: impl Into<String>, total: usize) -> ProgressBar {
        ProgressBar {
            id: channel::is_live().then(channel::new_id),
            label: label.into(),
            unit: String::new(),
            total: total as u64,
            start: 0,
            position: 0,
            note: String::new(),
            delay: INTERVAL,
            started: Instant::now(),
            shown: None,
        }
    }

    /// Makes a bar that is never shown.
    pub(crate) fn hidden() -> ProgressBar {
        let mut bar = ProgressBar::new("", 0);
        bar.id = None;
        bar
    }

    /// Names what is counted, such as `images`. `bytes` are shown as megabytes.
    pub fn unit(mut self, unit: impl Into<String>) -> ProgressBar {
        self.unit = unit.into();
        self
    }

    /// Sets how long a call takes before its bar appears; a shorter call shows none.
    pub(crate) fn delay(mut self, delay: Duration) -> ProgressBar {
        self.delay = delay;
        self
    }

    /// Starts at a position that was reached before.
    pub(crate) fn from(mut self, start: usize) -> ProgressBar {
        (self.start, self.position) = (start as u64, start as u64);
        self
    }

    /// Returns the number of steps so far.
    pub fn position(&self) -> usize {
        self.position as usize
    }

    /// Counts steps.
    pub fn advance(&mut self, steps: usize) {
        self.position += steps as u64;
        if self.is_due() {
            self.show(false);
        }
    }

    /// Sets a text that follows the numbers, such as the loss; shown with the next update.
    pub fn note(&mut self, note: impl Into<String>) {
        self.note = note.into();
    }

    /// Returns whether the bar may be shown.
    pub(crate) fn is_live(&self) -> bool {
        self.id.is_some()
    }

    /// Returns whether the next step is shown. A note that takes time to compute can be left out
    /// otherwise.
    pub fn is_due(&self) -> bool {
        self.is_live()
            && match self.shown {
                Some(shown) => shown.elapsed() >= INTERVAL,
                None => self.started.elapsed() >= self.delay,
            }
    }

    fn show(&mut self, ended: bool) {
        let Some(id) = &self.id else { return };
        let text = self.text(self.started.elapsed(), ended);
        let html = format!(
            "<div><progress max=\"{}\" value=\"{}\"></progress> {}</div>",
            self.total.max(1),
            self.position,
            escape(&text)
        );
        channel::send_in_order(&json!({
            "event": "live",
            "id": id,
            "kind": "bar",
            "text": text,
            "data": { "text/plain": text, "text/html": html },
        }));
        self.shown = Some(Instant::now());
    }

    /// `predict: 3,200 of 10,000 images, 3,120/s, 2 s left, …`
    fn text(&self, elapsed: Duration, ended: bool) -> String {
        let seconds = elapsed.as_secs_f64().max(1e-9);
        let rate = (self.position - self.start) as f64 / seconds;
        let mut parts = Vec::new();
        if self.total == 0 || self.position == self.total && ended {
            parts.push(self.amount(self.position, true));
        } else {
            let position = self.amount(self.position, false);
            parts.push(format!("{position} of {}", self.amount(self.total, true)));
        }
        if rate > 0.0 {
            parts.push(match &self.unit[..] {
                "bytes" => format!("{:.1} MB/s", rate / 1e6),
                _ if rate < 10.0 => format!("{rate:.1}/s"),
                _ => format!("{}/s", thousands(rate as i64)),
            });
        }
        if ended {
            parts.push(duration(seconds));
        } else if rate > 0.0 && self.total > self.position {
            let left = (self.total - self.position) as f64 / rate;
            parts.push(format!("{} left", duration(left)));
        }
        if !self.note.is_empty() {
            parts.push(self.note.clone());
        }
        format!("{}: {}", self.label, parts.join(", "))
    }

    fn amount(&self, count: u64, with_unit: bool) -> String {
        let (number, unit) = match &self.unit[..] {
            "bytes" => (format!("{:.1}", count as f64 / 1e6), "MB"),
            unit => (thousands(count as i64), unit),
        };
        if with_unit && !unit.is_empty() { format!("{number} {unit}") } else { number }
    }
}

impl Drop for ProgressBar {
    fn drop(&mut self) {
        if self.shown.is_some() || self.is_due() {
            self.show(true);
        }
    }
}

/// Writes seconds as `0.8 s`, `12 s`, `3 min 5 s` or `2 h 10 min`.
fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bar: &ProgressBar, seconds: f64, ended: bool) -> String {
        bar.text(Duration::from_secs_f64(seconds), ended)
    }

    #[test]
    fn the_text_has_rate_and_time_left() {
        let mut bar = ProgressBar::new("predict", 10_000).unit("images");
        assert_eq!(text(&bar, 0.0, false), "predict: 0 of 10,000 images");
        bar.advance(3200);
        assert_eq!(text(&bar, 2.0, false), "predict: 3,200 of 10,000 images, 1,600/s, 4.2 s left");
        // The text of a call that ended early says so.
        assert_eq!(text(&bar, 2.0, true), "predict: 3,200 of 10,000 images, 1,600/s, 2.0 s");
        bar.advance(6800);
        bar.note("accuracy 97.02 %");
        assert_eq!(
            text(&bar, 4.0, true),
            "predict: 10,000 images, 2,500/s, 4.0 s, accuracy 97.02 %"
        );
    }

    #[test]
    fn bytes_are_megabytes_and_a_total_may_be_unknown() {
        let mut bar = ProgressBar::new("images", 9_912_422).unit("bytes");
        bar.advance(5_000_000);
        assert_eq!(text(&bar, 2.0, false), "images: 5.0 of 9.9 MB, 2.5 MB/s, 2.0 s left");
        let mut bar = ProgressBar::new("images", 0).unit("bytes");
        bar.advance(5_000_000);
        assert_eq!(text(&bar, 2.0, false), "images: 5.0 MB, 2.5 MB/s");
    }

    #[test]
    fn steps_of_an_earlier_run_do_not_count_for_the_rate() {
        let mut bar = ProgressBar::new("fit", 100).from(50);
        bar.advance(10);
        assert_eq!(text(&bar, 2.0, false), "fit: 60 of 100, 5.0/s, 8.0 s left");
    }

    #[test]
    fn durations_are_written_in_two_units() {
        let texts = [0.84, 9.7, 61.0, 8000.0].map(duration);
        assert_eq!(texts, ["0.8 s", "10 s", "1 min 1 s", "2 h 13 min"]);
    }

    #[test]
    fn nothing_is_shown_outside_of_a_kernel() {
        let bar = ProgressBar::new("predict", 1);
        std::thread::sleep(INTERVAL);
        assert!(!bar.is_due());
    }
}
