//! The process that reads the cases, and dies of some of them.

use crate::common::memory;
use crate::{Dice, PARTS, Part};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Seconds of the processor for one case; other programs may take it away meanwhile.
const SECONDS: i64 = 10;

/// Seconds until a case that does nothing is given up.
const WAIT: u32 = 120;

/// Bytes of a message with its causes that somebody still reads.
const MAX_MESSAGE: usize = 8_000;

/// What no message may contain: call stacks, and how the error was handed on.
const NOT_PLAIN: [&str; 6] =
    ["Exception raised", "frame #", "CapturedTraceback", "panicked", "called `", "unwrap"];

/// Reads the cases that the parent asks for in `MNIST_KIT_TORTURE`, as `part:first:count`. Prints a
/// line for each one that is lost, and at the end how many were read.
pub fn main() {
    let asked = std::env::var("MNIST_KIT_TORTURE").expect("the parent sets it");
    let folder = std::env::var("MNIST_KIT_TORTURE_FOLDER").expect("the parent sets it");
    let words: Vec<&str> = asked.split(':').collect();
    let part = PARTS.iter().find(|part| part.name == words[0]).expect("a part");
    let (first, count): (u64, u64) = (words[1].parse().unwrap(), words[2].parse().unwrap());
    let folder = Path::new(&folder);
    let progress = File::create(folder.join("progress")).unwrap();
    // The parquet reader turns panics into errors. Their stacks would be most of the work.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    tch::set_num_threads(1);
    let bombs = (part.bombs)();
    // Whatever libraries need once is not part of the first case's memory.
    for seed in 0..20 {
        let (name, content) = (part.change)(&mut Dice::new(seed));
        fs::write(folder.join(&name), content).unwrap();
        let _ = catch_unwind(|| (part.read)(&folder.join(name)));
    }
    // The test harness has begun a line.
    println!();
    let mut read = 0;
    for case in first..first + count {
        progress.write_all_at(&case.to_le_bytes(), 0).unwrap();
        let (name, content) = match bombs.get(case as usize) {
            Some(bomb) => bomb.clone(),
            None => (part.change)(&mut Dice::new(case)),
        };
        let path = folder.join(&name);
        fs::write(&path, &content).unwrap();
        match attempt(part, &path, content.len() as u64) {
            Ok(true) => read += 1,
            Ok(false) => {}
            Err(problem) => println!("LOST {case} {}", problem.replace('\n', " ")),
        }
    }
    println!("READ {read}");
}

/// Reads a file under its limits; returns whether it was read, or what is wrong with its refusal.
fn attempt(part: &Part, path: &Path, size: u64) -> Result<bool, String> {
    limit(memory("VmSize") + size + (part.mebibytes << 20));
    alarm(SECONDS, WAIT);
    let outcome = catch_unwind(AssertUnwindSafe(|| (part.read)(path)));
    alarm(0, 0);
    limit(libc::RLIM_INFINITY);
    let Ok(outcome) = outcome else { return Err("a panic".to_string()) };
    let Err(error) = outcome else { return Ok(true) };
    let message = format!("{error:#}");
    let name = path.file_name().expect("a file").to_string_lossy();
    if !message.contains(&*name) {
        return Err(format!("a message that does not name the file: {message}"));
    }
    if message.len() < name.len() + 10 || message.len() > MAX_MESSAGE {
        return Err(format!("a message of {} characters: {message:.200}", message.len()));
    }
    match NOT_PLAIN.iter().find(|part| message.contains(**part)) {
        Some(part) => Err(format!("a message with {part}: {message:.200}")),
        None => Ok(false),
    }
}

/// Has the process killed after so many seconds of the processor, or of waiting. 0 takes that back.
fn alarm(seconds: i64, wait: u32) {
    let never = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let timer = libc::itimerval {
        it_interval: never,
        it_value: libc::timeval { tv_sec: seconds, tv_usec: 0 },
    };
    unsafe {
        assert_eq!(libc::setitimer(libc::ITIMER_PROF, &timer, std::ptr::null_mut()), 0);
        libc::alarm(wait);
    }
}

/// Sets the limit of this process's address space, which the next case may raise again.
fn limit(bytes: libc::rlim_t) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
}
