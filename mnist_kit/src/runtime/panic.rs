//! Panics: turned into errors, and reported briefly in a notebook's kernel (evcxr).

use super::channel;
use crate::check::without_trace;
use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

/// The source file of a cell, relative to the kernel's build folder.
const CELL: &str = "src/lib.rs";

/// Done once this copy of the kit has a hook that asks `QUIET`.
static HOOK: Once = Once::new();

thread_local! {
    /// True while panics of this thread become errors and must not be printed.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `action`; if it panics, returns the panic's message and prints nothing.
///
/// In a kernel, every cell has its own copy of the statics here, while the panic hook is the
/// process's. Each copy therefore puts its own hook in front of the others, which asks its own
/// `QUIET`.
pub(crate) fn caught<T>(action: impl FnOnce() -> T) -> Result<T, String> {
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    let outer = QUIET.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(action));
    QUIET.set(outer);
    result.map_err(|payload| message_of(&*payload).to_string())
}

fn message_of(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("the panic carries no message")
}

/// In a kernel, reduces panic messages to two lines: what happened, and the line of the cell. Does
/// nothing elsewhere.
///
/// Cells link the standard library dynamically, so a hook set by one cell serves all later ones.
pub(crate) fn install() {
    if std::env::var_os("EVCXR_IS_RUNTIME").is_none() {
        return;
    }
    let source = std::env::var_os("EVCXR_TMPDIR").map(|folder| PathBuf::from(folder).join(CELL));
    // This hook replaces the one of `caught`, so it asks `QUIET` itself.
    panic::set_hook(Box::new(move |panic| {
        if QUIET.get() {
            return;
        }
        let report = PanicReport::of(panic, source.as_deref());
        if report.send() {
            return;
        }
        eprintln!("{report}");
        // evcxr reports the end of a cell without waiting for its stderr: without a pause the
        // message appears under the next cell.
        std::thread::sleep(Duration::from_millis(50));
    }));
    HOOK.call_once(|| {});
}

/// The text that a notebook shows for a panic.
struct PanicReport {
    message: String,
    /// The line of code, or file and line.
    at: Option<String>,
    /// The number of that line in its file; a cell's file holds evcxr's own code as well.
    line: Option<usize>,
}

impl PanicReport {
    fn of(panic: &PanicHookInfo<'_>, source: Option<&Path>) -> PanicReport {
        let message = without_trace(message_of(panic.payload()));
        let place = panic.location().map(|at| (at.file(), at.line() as usize));
        let cell = source.and_then(|source| {
            let line = match place {
                Some((CELL, line)) => line,
                _ => line_in_backtrace(&Backtrace::force_capture().to_string(), source)?,
            };
            Some((quote(&std::fs::read_to_string(source).ok()?, line)?, line))
        });
        let at = cell.or(place.map(|(file, line)| (format!("{file}:{line}"), line)));
        let (at, line) = at.unzip();
        PanicReport { message, at, line }
    }

    /// Tells the kernel's companion, which shows the panic; returns whether there is one.
    fn send(&self) -> bool {
        const MOST: usize = 8000;
        let message: String = self.message.chars().take(MOST).collect();
        let at: Option<String> = self.at.as_ref().map(|at| at.chars().take(MOST / 4).collect());
        channel::send_at_once(&serde_json::json!({
            "event": "panic",
            "message": message,
            "at": at,
            "line": self.line,
            "thread": std::thread::current().name(),
            "main": is_main_thread(),
        }))
    }
}

impl fmt::Display for PanicReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Panic: {}", self.message)?;
        self.at.as_ref().map_or(Ok(()), |at| write!(f, "\n   at: {at}"))
    }
}

/// Returns whether this is the thread that runs cells; Rust's name for it is not known there,
/// because evcxr's runtime and the cells link the standard library separately.
#[cfg(target_os = "linux")]
fn is_main_thread() -> bool {
    // Safety: gettid has no requirements.
    unsafe { libc::gettid() }.cast_unsigned() == std::process::id()
}

#[cfg(not(target_os = "linux"))]
fn is_main_thread() -> bool {
    std::thread::current().name() == Some("main")
}

/// Finds the line of the innermost frame in the cell. A frame's name is followed by a line like
/// `at /folder/src/lib.rs:12:5`.
fn line_in_backtrace(backtrace: &str, source: &Path) -> Option<usize> {
    let place = format!("at {}:", source.display());
    backtrace
        .lines()
        .find_map(|line| line.trim().strip_prefix(&place)?.split(':').next()?.parse().ok())
}

/// Returns a line of the cell's source, without the code that the kernel wraps around a last
/// expression to display it.
fn quote(source: &str, line: usize) -> Option<String> {
    let code = source.lines().nth(line.checked_sub(1)?)?.trim();
    let code = match code.strip_prefix('(').and_then(|rest| rest.strip_suffix(").evcxr_display();"))
    {
        Some(inner) => inner,
        None => code
            .strip_suffix(")));")
            .filter(|inner| !balanced(code) && balanced(inner))
            .unwrap_or(code),
    };
    (!code.is_empty()).then(|| code.to_owned())
}

fn balanced(code: &str) -> bool {
    code.matches('(').count() == code.matches(')').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cell_is_found_in_a_backtrace() {
        let backtrace = "   3: tch::add\n             at /registry/tch/src/lib.rs:7:1\n   \
                         4: ctx::run_user_code_2\n             at /kernel/src/lib.rs:12:9\n";
        assert_eq!(line_in_backtrace(backtrace, Path::new("/kernel/src/lib.rs")), Some(12));
        assert_eq!(line_in_backtrace(backtrace, Path::new("/other/src/lib.rs")), None);
    }

    #[test]
    fn a_line_is_quoted_as_its_writer_wrote_it() {
        assert_eq!(quote("a\n  let x = f(1);\n", 2).as_deref(), Some("let x = f(1);"));
        assert_eq!(quote("(f(1)).evcxr_display();", 1).as_deref(), Some("f(1)"));
        assert_eq!(quote("f(1))));", 1).as_deref(), Some("f(1)"));
        assert_eq!(quote("f(1)", 2), None);
        assert_eq!(quote("f(1)", 0), None);
    }
}
