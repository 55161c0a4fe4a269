"""The companion with the real kernel. Most tests share one, as a start takes long."""

import itertools
import os
import signal
import subprocess
import sys
import time

import pytest

import project
from companion.evcxr import INFORMATION
from kernels import LIMIT, Kernel, is_gone, wait_until

# Within braces, so that evcxr does not keep the declarations.
C = """{{
    unsafe extern "C" {{
        fn close(descriptor: i32) -> i32;
        fn dup2(from: i32, to: i32) -> i32;
        fn open(path: *const i8, flags: i32) -> i32;
    }}
    unsafe {{ {} }}
}}"""
SLEEP = "std::thread::sleep(std::time::Duration::from_millis({}));"
DEAF = 'println!("started"); loop { ' + SLEEP.format(10) + " }"
LISTENING = (
    'println!("started"); while !mnist_kit::stop_requested() { ' + SLEEP.format(1) + " }"
)


@pytest.fixture(scope="module")
def shared():
    """The kernel that most tests share."""
    started = Kernel()
    yield started
    started.close()


@pytest.fixture
def kernel(shared):
    """The shared kernel, with nothing left to read of the test before."""
    shared.drain()
    return shared


def test_cells_and_their_numbers(kernel):
    first = kernel.ok("let x: i64 = 1;").reply["execution_count"]
    assert first == 1
    result = kernel.ok("x + 1")
    assert result.value == "2"
    numbers = [c["execution_count"] for c in result.contents("execute_input", "execute_result")]
    assert numbers == [2, 2] and result.reply["execution_count"] == 2
    # A silent request shows nothing, and has no number.
    silent = kernel.run("x + 1", silent=True)
    assert silent.status == "ok" and {m["msg_type"] for m in silent.messages} == {"status"}
    assert kernel.ok("").reply["execution_count"] == 3


def test_states_frame_each_cell(kernel):
    kinds = [m["msg_type"] for m in kernel.ok('println!("a"); 5').messages]
    assert kinds == ["status", "execute_input", "stream", "execute_result", "status"]


def test_a_panic_is_an_error_with_the_line_of_the_cell(kernel):
    code = "let numbers: Vec<i32> = vec![1, 2, 3];\nlet index = 7;\nprintln!(\"{}\", numbers[index]);"
    result = kernel.fails(code, "Panic")
    assert "index out of bounds" in result.reply["evalue"]
    assert any("line 3: println!" in line for line in result.reply["traceback"])
    # It is told once.
    assert result.text("stderr") == "" and len(result.errors) == 1


def test_a_failing_question_mark_is_an_error(kernel):
    result = kernel.fails('let text = std::fs::read_to_string("/no/such/file")?;', "Error")
    assert "No such file or directory" in result.reply["evalue"]


def test_a_compile_error_is_an_error(kernel):
    result = kernel.fails('let number: i64 = "seven";', "Error")
    assert result.reply["evalue"] == "mismatched types" and result.reply["traceback"]


def test_what_is_queued_behind_an_error_is_aborted(kernel):
    requests = [kernel.send(code) for code in ("panic!()", "let a: i64 = 1;", "let b: i64 = 2;")]
    ends = {}
    while len(ends) < 3:
        reply = kernel.client.get_shell_msg(timeout=LIMIT)
        ends[reply["parent_header"]["msg_id"]] = reply["content"]["status"]
    assert [ends[request] for request in requests] == ["error", "aborted", "aborted"]
    kernel.drain()
    requests = [kernel.send("panic!()", stop_on_error=False), kernel.send("let c: i64 = 3;")]
    assert [kernel.finish(request).status for request in requests] == ["error", "ok"]
    assert kernel.ok("c").value == "3"


def test_stderr_is_shown_and_is_no_error(kernel):
    result = kernel.ok('eprintln!("a warning");')
    assert result.text("stderr") == "a warning\n"


def test_a_caught_panic_is_shown_and_is_no_error(kernel):
    result = kernel.ok('let caught: bool = std::panic::catch_unwind(|| panic!("quiet")).is_err();')
    assert "Panic: quiet" in result.text("stderr")


def test_an_exit_is_an_error(kernel):
    result = kernel.fails("std::process::exit(0);", "ProcessEnded")
    assert "exit status: 0" in result.reply["evalue"]
    # The next process is watched as well.
    kernel.fails("panic!()", "Panic")
    assert kernel.ok("1 + 1").value == "2"


def test_a_panic_hook_of_the_cell_hides_nothing(kernel):
    kernel.ok("std::panic::set_hook(Box::new(|_| {}));")
    kernel.fails('assert_eq!(1, 2, "hidden");', "Panic")
    kernel.fails("std::process::exit(1)", "ProcessEnded")


@pytest.mark.parametrize(
    "call",
    [
        "close(1);",
        'let null = open(c"/dev/null".as_ptr().cast(), 2); dup2(null, 1); dup2(null, 2);',
        "close(2);",
        "close(0);",
        'let null = open(c"/dev/null".as_ptr().cast(), 2); dup2(null, 1); assert_eq!(1, 2);',
    ],
)
def test_closed_and_redirected_streams_are_errors(kernel, call):
    kernel.fails(C.format(call), "Descriptor")
    assert kernel.ok('println!("again"); 1').text() == "again\n"


def test_closed_sockets_are_errors(kernel):
    result = kernel.run(C.format("for number in 3..2000 { close(number); }"))
    # It depends on what it notices first.
    assert result.reply["ename"] in ("RelayLost", "ProcessEnded")
    kernel.fails("panic!()", "Panic")


@pytest.mark.parametrize(
    "code",
    [
        'println!("EVCXR_EXECUTION_COMPLETE"); assert_eq!(1, 2);',
        'println!("EVCXR_EXECUTION_COMPLETE");' + SLEEP.format(500) + "assert_eq!(1, 2);",
        'println!("EVCXR_EXECUTION_COMPLETE");' + SLEEP.format(5000) + "assert_eq!(1, 2);",
        'println!("EVCXR_EXECUTION_COMPLETE");',
    ],
)
def test_a_forged_end_is_an_error(kernel, code):
    kernel.fails(code, "Forged")
    # evcxr is in step again.
    assert kernel.ok("let y: i64 = 6; y + 1").value == "7"
    assert kernel.ok("y + 2").value == "8"


def test_a_panic_of_a_thread_after_its_cell_fails_there_and_at_the_next_cell(kernel):
    wait = SLEEP.format(1000)
    request = kernel.send(f'std::thread::spawn(|| {{ {wait} panic!("late") }});')
    assert kernel.finish(request).status == "ok"
    error = kernel.read_until(lambda m: m["msg_type"] == "error", request)
    assert error["content"]["evalue"] == "late"
    result = kernel.fails("let z: i64 = 1;", "Panic")
    assert "not run" in result.reply["evalue"] and "late" in result.reply["evalue"]
    kernel.ok("let z: i64 = 1;")


def test_a_panic_of_a_thread_during_its_cell_is_an_error(kernel):
    result = kernel.fails('let _ = std::thread::spawn(|| panic!("in a thread")).join();', "Panic")
    assert "in a thread" in result.reply["evalue"]


def test_text_without_a_line_break(kernel):
    assert kernel.ok('print!("50 %");').text() == "50 %"
    assert kernel.ok('print!("a"); print!("b"); println!("c"); print!("\\rd");').text() == "abc\n\rd"


def test_a_carriage_return_reaches_the_notebook(kernel):
    flush = "std::io::Write::flush(&mut std::io::stdout())?;"
    code = f'for n in 0..5 {{ print!("\\r{{n}} of 5"); {flush} {SLEEP.format(80)} }} println!();'
    assert kernel.ok(code).text() == "\r0 of 5\r1 of 5\r2 of 5\r3 of 5\r4 of 5\n"


def test_bytes_that_are_not_utf_8(kernel):
    code = 'std::io::Write::write_all(&mut std::io::stdout(), b"caf\\xe9!\\n")?;'
    assert kernel.ok(code).text() == "caf\ufffd!\n"


def test_a_burst_of_lines_comes_whole_and_in_order(kernel):
    result = kernel.ok('for n in 0..2000 { println!("line {n}"); }')
    assert result.text() == "".join(f"line {n}\n" for n in range(2000))
    # In few messages: JupyterLab drops output that comes in too many.
    assert len(result.contents("stream")) < 1000


def live(name, data):
    event = '{{\\"event\\":\\"live\\",\\"id\\":\\"%s\\",\\"data\\":%s}}' % (name, data)
    return f'println!("\\u{{1e}}MNIST_KIT {event}"'


def test_live_messages_keep_their_place_in_the_text(kernel):
    data = '{{\\"text/plain\\":\\"{n}\\"}}'
    code = (
        'println!("before");'
        f"for n in 0..3 {{ {live('bar', data)}); }}"
        'print!("between");'
        f"for n in 0..1 {{ {live('other', data)}); }}"
        'println!("after");'
    )
    result = kernel.ok(code)
    shown = []
    for message in result.messages:
        content = message["content"]
        if message["msg_type"] == "stream":
            shown.append(content["text"])
        elif "transient" in content:
            assert content["transient"]["display_id"].endswith(("-bar", "-other"))
            shown.append((message["msg_type"], content["data"]["text/plain"]))
    assert shown == [
        "before\n",
        ("display_data", "0"),
        ("update_display_data", "1"),
        ("update_display_data", "2"),
        "between",
        ("display_data", "0"),
        "after\n",
    ]


def test_fifty_megabytes_of_pictures(kernel):
    data = '{{\\"image/png\\":\\"{picture}\\"}}'
    code = (
        'let picture = "A".repeat(4 << 20);'
        f"for n in 0..12 {{ {live('{n}', data)}); }}"
        'println!("EVCXR_BEGIN_CONTENT image/png\\n{picture}\\nEVCXR_END_CONTENT");'
    )
    result = kernel.ok("{" + code + "}")
    pictures = result.contents("display_data", "execute_result")
    assert [len(content["data"]["image/png"]) for content in pictures] == [4 << 20] * 13
    assert result.text("stderr") == ""


@pytest.mark.parametrize("macro", ["println", "eprintln"])
def test_a_cell_that_prints_for_ever_is_stopped(kernel, macro):
    code = f'let line = "x".repeat(1000); loop {{ {macro}!("{{line}}"); }}'
    result = kernel.fails(code, "OutputLimit")
    name = "stdout" if macro == "println" else "stderr"
    shown = result.text(name).count("x")
    assert 9_000_000 < shown <= 10_000_000
    assert result.text("stderr").count("Output limit") == 1
    # Nothing of it comes with the next cell.
    after = kernel.ok('println!("calm");')
    assert (after.text(), after.text("stderr")) == ("calm\n", "")


def test_a_cell_that_prints_a_lot_is_no_error(kernel):
    result = kernel.ok('for _ in 0..15_000 { println!("{}", "x".repeat(999)); }')
    assert result.text("stderr").count("Output limit") == 1
    shown = result.text().count("x")
    assert 9_000_000 < shown <= 10_000_000


def test_what_is_answered_before_evcxr_runs_is_evcxrs_own_answer(kernel):
    assert kernel.reply(kernel.client.kernel_info()) == INFORMATION


def test_two_clients(kernel):
    other = kernel.connect()
    try:
        theirs = other.execute("let theirs: i64 = 2;")
        # Each sees what the other does.
        kernel.read_until(lambda m: m["msg_type"] == "execute_input", theirs)
        assert kernel.ok("let mine: i64 = 1;").status == "ok"
        while (reply := other.get_shell_msg(timeout=LIMIT))["parent_header"]["msg_id"] != theirs:
            assert reply["msg_type"] == "kernel_info_reply"
        assert reply["content"]["status"] == "ok"
        assert kernel.ok("mine + theirs").value == "3"
    finally:
        other.stop_channels()


def test_a_stop_keeps_the_variables(kernel):
    kernel.ok("let kept: i64 = 5;")
    request = kernel.send(LISTENING)
    kernel.until_printed("started", request)
    kernel.manager.interrupt_kernel()
    assert kernel.finish(request).status == "ok"
    assert kernel.ok("kept").value == "5"


def test_a_stop_while_the_cell_is_compiled_reaches_it(kernel):
    request = kernel.send(LISTENING)
    kernel.read_until(lambda m: m["msg_type"] == "execute_input", request)
    kernel.manager.interrupt_kernel()
    assert kernel.finish(request).status == "ok"


def test_a_stop_ends_what_is_queued(kernel):
    request = kernel.send(LISTENING)
    queued = kernel.send("let queued: i64 = 1;")
    kernel.until_printed("started", request)
    kernel.manager.interrupt_kernel()
    assert kernel.reply(request)["status"] == "ok"
    assert kernel.reply(queued)["status"] == "aborted"


def test_a_stop_of_a_fit_keeps_what_it_has(kernel):
    kernel.ok("use mnist_kit::prelude::*;")
    kernel.ok(
        "let digits = Mnist::generated(1, 500, 100)?;"
        "let batches = digits.train.batches(50)?.transform(&Compose::new().to_tensor());"
        "let vs = nn::VarStore::new(Device::Cpu);"
        "let model = Mlp::new(vs.root(), 20)?;"
    )
    request = kernel.send(
        "let history = fit(&model, &vs, &batches).epochs(1_000_000).run()?;"
    )
    messages = []
    kernel.read_until(lambda m: m["msg_type"] == "display_data", request, messages)
    kernel.manager.interrupt_kernel()
    result = kernel.finish(request)
    assert result.status == "ok"
    assert "Stopped at epoch" in result.text() + result.text("stderr"), result.messages
    assert kernel.ok("history.epochs().len() < 1_000_000").value == "true"


def test_a_stop_while_nothing_runs_changes_nothing(kernel):
    kernel.ok("let idle: i64 = 7;")
    kernel.manager.interrupt_kernel()
    assert kernel.ok("idle").value == "7"


def test_a_cell_that_does_not_stop_is_killed(kernel):
    kernel.ok("let lost: i64 = 1;")
    request = kernel.send(DEAF)
    kernel.until_printed("started", request)
    asked = time.monotonic()
    kernel.manager.interrupt_kernel()
    result = kernel.finish(request)
    assert time.monotonic() - asked >= 5
    assert result.reply["ename"] == "Interrupted"
    text = "\n".join(result.reply["traceback"])
    assert "All variables are lost" in text and "checkpoint" in text
    kernel.fails("lost", "Error")
    kernel.fails("panic!()", "Panic")


def test_a_second_stop_kills_at_once(kernel):
    request = kernel.send(DEAF)
    kernel.until_printed("started", request)
    kernel.manager.interrupt_kernel()
    kernel.manager.interrupt_kernel()
    assert kernel.finish(request).reply["ename"] == "Interrupted"
    assert kernel.ok("1").value == "1"


def test_clear(kernel):
    kernel.ok("let cleared: i64 = 1;")
    kernel.ok(":clear")
    kernel.fails("cleared", "Error")
    kernel.fails("panic!()", "Panic")
    # Code after it in the same cell would run in a process that is not watched.
    kernel.fails(":clear\nassert_eq!(1, 2);", "NotWatched")
    assert kernel.ok("1").value == "1"


def test_commands_alone(kernel):
    kernel.ok(f':dep mnist_kit = {{ path = "{project.KIT}" }}')
    kernel.ok("// a comment")
    assert kernel.ok(":show_deps").status == "ok"


ASK = """println!("EVCXR_INPUT_REQUEST:Your name");
let mut name = String::new();
std::io::stdin().read_line(&mut name)?;
println!("Hello, {}", name.trim());"""


def test_input(kernel):
    request = kernel.send(ASK, allow_stdin=True)
    asked = kernel.client.get_stdin_msg(timeout=LIMIT)
    assert asked["msg_type"] == "input_request" and asked["content"]["prompt"] == "Your name"
    assert asked["parent_header"]["msg_id"] == request
    kernel.client.input("Ada")
    assert kernel.finish(request).text() == "Hello, Ada\n"
    # Without a user nobody is asked.
    assert kernel.run(ASK, allow_stdin=False).text() == "Hello, \n"
    # A stop while it waits.
    request = kernel.send(ASK, allow_stdin=True)
    kernel.client.get_stdin_msg(timeout=LIMIT)
    kernel.manager.interrupt_kernel()
    kernel.manager.interrupt_kernel()
    assert kernel.finish(request).reply["ename"] == "Interrupted"
    assert kernel.ok("1").value == "1"


def test_completion_and_inspection(kernel):
    kernel.ok("let numbers: Vec<i64> = vec![1];")
    found = kernel.reply(kernel.client.complete("numbers.le", 10))
    assert "len" in "".join(found["matches"])
    found = kernel.reply(kernel.client.inspect("String", 6))
    assert found["status"] == "ok" and found["found"]
    assert kernel.reply(kernel.client.is_complete("1 + 1"))["status"] == "complete"
    assert kernel.reply(kernel.client.comm_info())["comms"] == {}
    assert kernel.reply(kernel.client.history())["history"] == []


def test_clients_that_connect_while_a_cell_runs_are_answered(kernel):
    request = kernel.send(LISTENING)
    kernel.until_printed("started", request)
    other = kernel.connect()
    other.stop_channels()
    kernel.manager.interrupt_kernel()
    assert kernel.finish(request).status == "ok"


def test_the_end_of_evcxr_ends_the_kernel_and_a_restart_begins_anew(kernel):
    before = kernel.folder
    request = kernel.send(DEAF)
    kernel.until_printed("started", request)
    children = f"/proc/{kernel.manager.provisioner.pid}/task/*/children"
    out = subprocess.run(f"cat {children}", shell=True, capture_output=True, text=True).stdout
    (evcxr,) = (int(pid) for pid in out.split() if is_evcxr(pid))
    os.kill(evcxr, signal.SIGKILL)
    assert kernel.finish(request).reply["ename"] == "KernelDied"
    assert wait_until(lambda: not kernel.manager.is_alive())
    assert kernel.manager.provisioner.process.poll() not in (None, 0)
    assert is_gone(before)
    kernel.restart()
    assert kernel.folder != before
    assert kernel.ok("1 + 1").value == "2"


def is_evcxr(pid):
    with open(f"/proc/{pid}/comm") as name:
        return name.read().startswith("evcxr_jupyter")


def test_the_end_of_jupyter_ends_the_kernel():
    start = (
        "from kernels import Kernel\n"
        "kernel = Kernel()\n"
        "kernel.send('loop {}')\n"
        "print('\\nfolder', kernel.folder, flush=True)\n"
        "input()\n"
    )
    jupyter = subprocess.Popen(
        [sys.executable, "-c", "import conftest\n" + start],
        cwd=os.path.dirname(__file__),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    # evcxr prints as well.
    (line,) = itertools.islice((line for line in jupyter.stdout if line.startswith("folder ")), 1)
    folder = line.removeprefix("folder ").strip()
    assert os.path.exists(folder)
    jupyter.kill()
    jupyter.communicate()
    assert is_gone(folder)
