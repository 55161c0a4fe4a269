"""Plays evcxr_jupyter and its child process, for tests of the companion that take no seconds.

A cell's code is a list of steps in JSON: `["text", …]` publishes a line, `["event", …]` is an event
of the relay, `["result", …]` a result, `["error", …]` an error that evcxr reports, `["sleep", …]`
takes seconds. A request for completion is an event between two cells. Code that is no JSON starts the relay's process, as `mnist_kit::init()` does.
"""

import json
import os
import subprocess
import sys
import time

import zmq
from jupyter_client.session import Session

RELAY = """
import json, os, socket, sys, threading
companion = socket.socket(socket.AF_UNIX)
companion.connect(os.environ["MNIST_KIT_COMPANION"])
lock = threading.Lock()
def tell(event):
    with lock:
        companion.sendall(json.dumps(event).encode() + b"\\n")
def obey():
    for line in companion.makefile():
        command = json.loads(line)
        if command["do"] == "ping":
            tell({"event": "pong", "number": command["number"], "waiting": True})
tell({"event": "hello", "pid": os.getpid()})
threading.Thread(target=obey, daemon=True).start()
print("ready", flush=True)
for line in sys.stdin:
    tell(json.loads(line))
"""


class Evcxr:
    def __init__(self, file):
        with open(file) as text:
            where = json.load(text)
        self.session = Session(key=where["key"].encode())
        context = zmq.Context()

        def bind(kind, port):
            socket = context.socket(kind)
            socket.bind(f"tcp://{where['ip']}:{where[port]}")
            return socket

        self.shell = bind(zmq.ROUTER, "shell_port")
        self.control = bind(zmq.ROUTER, "control_port")
        self.stdin = bind(zmq.ROUTER, "stdin_port")
        self.iopub = bind(zmq.PUB, "iopub_port")
        self.relay = None

    def serve(self):
        poller = zmq.Poller()
        poller.register(self.shell, zmq.POLLIN)
        poller.register(self.control, zmq.POLLIN)
        while True:
            for socket, _ in poller.poll():
                identities, message = self.session.recv(socket, mode=0)
                if message["msg_type"] == "shutdown_request":
                    return
                if socket is self.shell:
                    self.handle(identities, message)
                else:
                    self.end_relay()

    def handle(self, identities, message):
        self.publish("status", {"execution_state": "busy"}, message)
        content = {"status": "ok", "protocol_version": "5.3"}
        if message["msg_type"] == "execute_request":
            content = self.execute(message)
        elif message["msg_type"] == "complete_request":
            self.tell(json.loads(message["content"]["code"]))
        kind = message["msg_type"].replace("_request", "_reply")
        self.session.send(self.shell, kind, content, parent=message, ident=identities)
        self.publish("status", {"execution_state": "idle"}, message)

    def publish(self, kind, content, parent):
        self.session.send(self.iopub, kind, content, parent=parent)

    def execute(self, message):
        code, status = message["content"]["code"], "ok"
        self.publish("execute_input", {"code": code, "execution_count": 99}, message)
        if not code.startswith("["):
            self.start_relay()
            return {"status": "ok", "execution_count": 99}
        for step, value in json.loads(code):
            if step == "text":
                self.publish("stream", {"name": "stdout", "text": value}, message)
            elif step == "event":
                self.tell(value)
            elif step == "result":
                data = {"data": {"text/plain": value}, "metadata": {}, "execution_count": 99}
                self.publish("execute_result", data, message)
            elif step == "error":
                error = {"ename": "Error", "evalue": value, "traceback": [value]}
                self.publish("error", error, message)
                status = "error"
            elif step == "sleep":
                time.sleep(value)
        return {"status": status, "execution_count": 99}

    def start_relay(self):
        if self.relay and self.relay.poll() is None:
            # The process lives on, and so does its relay.
            return
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.relay = subprocess.Popen([sys.executable, "-c", RELAY], **pipes)
        self.relay.stdout.readline()

    def end_relay(self):
        if self.relay:
            self.relay.kill()
            self.relay.wait()

    def tell(self, event):
        self.relay.stdin.write(json.dumps(event) + "\n")
        self.relay.stdin.flush()


if __name__ == "__main__":
    assert sys.argv[1] == "--control_file" and os.environ["MNIST_KIT_COMPANION"]
    Evcxr(sys.argv[2]).serve()
