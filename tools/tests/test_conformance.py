"""Jupyter's own kernel tests, on plain evcxr and on our kernel: what passes there passes here."""

from __future__ import annotations

import sys
import unittest

import jupyter_kernel_test
import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from jupyter_kernel_test.msgspec_v5 import validate_message

import project
from kernels import LIMIT, START_LIMIT

PLAIN = [str(project.evcxr()), "--control_file", "{connection_file}"]
OURS = [sys.executable, str(project.ROOT / "tools" / "kernel.py"), "{connection_file}"]


class Conformance(jupyter_kernel_test.KernelTests):
    """The tests of the package with Rust's samples. They wait for states: machines are busy."""

    # pytest would run this class by itself.
    __test__ = False
    argv: list[str]
    language_name = "Rust"
    file_extension = ".rs"
    code_hello_world = 'println!("hello, world");'
    code_stderr = 'eprintln!("to stderr");'
    completion_samples = [{"text": "let text = String::new(); text.to_upp"}]
    complete_code_samples = ["let x = 1;", "1 + 1"]
    code_generate_error = 'let number: i32 = "text";'
    code_execute_result = [
        {"code": "6 * 7", "result": "42"},
        {"code": 'println!("before"); vec![1, 2]', "result": "[1, 2]"},
    ]
    code_inspect_sample = "let text = String::new(); text.len"

    @classmethod
    def setUpClass(cls):
        cls.km = KernelManager(kernel_name="python3")
        cls.km._kernel_spec = KernelSpec(
            argv=cls.argv, display_name="tested", language="rust", interrupt_mode="message"
        )
        cls.km.start_kernel(cwd=str(project.ROOT / "notebooks"))
        cls.kc = cls.km.client()
        cls.kc.start_channels()
        cls.kc.wait_for_ready(timeout=START_LIMIT)
        # rust-analyzer starts with the first variable, and reads for a while.
        cls.kc.execute_interactive("let warm = 1;", timeout=START_LIMIT)

    @classmethod
    def tearDownClass(cls):
        cls.kc.stop_channels()
        cls.km.shutdown_kernel(now=True)

    def get_non_kernel_info_reply(self, timeout=None):
        return super().get_non_kernel_info_reply(timeout=LIMIT)

    def execute_helper(self, code, timeout=LIMIT, **options):
        """Runs a cell, and checks each message as the package does."""
        request = self.kc.execute(code=code, **options)
        reply = self.get_non_kernel_info_reply()
        validate_message(reply, "execute_reply", request)
        messages = []
        while not messages or messages[-1]["content"].get("execution_state") != "idle":
            message = self.kc.get_iopub_msg(timeout=LIMIT)
            if message["parent_header"].get("msg_id") == request:
                validate_message(message, message["msg_type"], request)
                messages.append(message)
        self.assertEqual(messages[0]["content"]["execution_state"], "busy")
        framing = ("status", "execute_input")
        return reply, [message for message in messages if message["msg_type"] not in framing]


def outcome(argv):
    """Runs the tests on a kernel; returns the names of those that pass, and why others do not."""
    tests = type("Tests", (Conformance,), {"argv": argv})
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(tests)
    names = {name_of(test) for test in suite}
    result = unittest.TestResult()
    suite.run(result)
    assert result.testsRun, result.errors
    reasons = {
        name_of(test): reason
        for test, reason in [*result.failures, *result.errors, *result.skipped]
    }
    return names - reasons.keys(), reasons


def name_of(test):
    """Returns the name of the method; the id of a subtest continues with its sample."""
    return test.id().split(" ")[0].rpartition(".")[2]


@pytest.fixture
def empty_configuration(tmp_path, monkeypatch):
    """Hides the user's own configuration of evcxr."""
    monkeypatch.setenv("EVCXR_CONFIG_DIR", str(tmp_path))


def test_our_kernel_passes_what_plain_evcxr_passes(empty_configuration):
    plain, _ = outcome(PLAIN)
    ours, reasons = outcome(OURS)
    # If plain evcxr fails everywhere, the comparison says nothing.
    assert {"test_kernel_info", "test_execute_stdout", "test_execute_result"} <= plain
    lost = {name: reasons[name] for name in plain - ours}
    assert not lost, "\n".join(lost.values())
    # Replies to errors have a name and a message here.
    assert "test_error" in ours, reasons["test_error"]
