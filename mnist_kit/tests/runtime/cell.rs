//! What runs in the child process: evcxr's runtime, and cells by name.

use std::fs::File;
use std::io::{BufRead, Write};
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::panic::catch_unwind;
use std::process::Command;
use std::thread;
use std::time::Duration;

/// Runs the commands of standard input, as evcxr's runtime does.
#[test]
#[ignore = "the child process of other tests"]
fn child_process() {
    mnist_kit::init();
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let action = line.strip_prefix("LOAD_AND_RUN /code.so ").expect("a command");
        if catch_unwind(|| run(action)).is_err() {
            raw("EVCXR_PANIC_NOTIFICATION\n");
        }
        // evcxr's runtime is linked with a standard library of its own.
        raw("EVCXR_EXECUTION_COMPLETE\n");
    }
    std::process::exit(0);
}

/// Writes past the buffer of standard output.
fn raw(text: impl AsRef<[u8]>) {
    // Safety: the descriptor is not closed here.
    let mut stdout = ManuallyDrop::new(unsafe { File::from_raw_fd(1) });
    let _ = stdout.write_all(text.as_ref());
}

fn close(descriptor: i32) {
    // Safety: a cell may do this, too.
    unsafe { libc::close(descriptor) };
}

fn run(action: &str) {
    match action {
        "hello" => println!("hello"),
        "unfinished" => print!("12 %"),
        "unfinished raw" => raw("12 %"),
        "wait for stop" => {
            print!("working ");
            while !mnist_kit::stop_requested() {
                thread::sleep(Duration::from_millis(1));
            }
            println!("stopped");
        }
        "asked" => println!("{}", mnist_kit::stop_requested()),
        "messages" => {
            println!("before");
            print!("unfinished ");
            println!("\x1eMNIST_KIT {{\"event\":\"live\",\"id\":\"1\"}}");
            println!("after");
            println!("\x1eMNIST_KIT {{\"event\":\"complete\"}}");
        }
        "panic" => panic!("seven\nlines"),
        "panic in a thread" => {
            let lock = std::io::stdout().lock();
            let thread = thread::Builder::new().name("mine".into());
            thread.spawn(|| panic!("eight")).unwrap().join().unwrap_err();
            drop(lock);
        }
        "panic without output" => {
            close(1);
            panic!("nine");
        }
        "caught panic" => {
            use tch::nn::Module;
            let wrong = tch::nn::func(|_| panic!("quiet"));
            let input = tch::Tensor::from(1.0f32);
            assert!(mnist_kit::model::try_forward(&wrong, &input, false).is_err());
            drop(wrong.forward(&tch::Tensor::new()));
        }
        "forge" => println!("EVCXR_EXECUTION_COMPLETE"),
        "forge and wait for stop" => {
            println!("EVCXR_EXECUTION_COMPLETE");
            run("wait for stop");
        }
        "flood" => {
            let line = format!("line{}\n", "x".repeat(995));
            (0..25_000).for_each(|_| raw(&line));
            println!("EVCXR_BEGIN_CONTENT image/png\n{}\nEVCXR_END_CONTENT", "A".repeat(10 << 20));
        }
        "close stderr" => close(2),
        "replace stdin" => {
            let null = File::open("/dev/null").unwrap();
            // Safety: dup2 takes plain numbers.
            unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&null), 0) };
        }
        "replace stdout" => {
            let null = File::options().write(true).open("/dev/null").unwrap();
            // Safety: dup2 takes plain numbers.
            unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&null), 1) };
        }
        "burst" => {
            for number in 0..2000 {
                println!("line {number}");
            }
            let picture = "A".repeat(10 << 20);
            for _ in 0..5 {
                println!("EVCXR_BEGIN_CONTENT image/png\n{picture}\nEVCXR_END_CONTENT");
            }
        }
        "binary" => raw(b"a\xffb\n"),
        "program" => {
            let script = "echo a program; echo companion: $MNIST_KIT_COMPANION";
            assert!(Command::new("sh").args(["-c", script]).status().unwrap().success());
        }
        "fork" => {
            // Safety: the forked process calls what is allowed there: system calls.
            unsafe {
                if libc::fork() == 0 {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    libc::close(2);
                    libc::write(1, c"forked\n".as_ptr().cast(), 7);
                    libc::sleep(600);
                    libc::_exit(0);
                }
            }
        }
        "exit" => {
            println!("last words");
            print!("and more");
            std::process::exit(3);
        }
        other => super::training::run(other).unwrap(),
    }
}
