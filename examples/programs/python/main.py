"""Serves what stands in /data/page.md, and says over its socket that it does."""
import http.server
import json
import os
import socket


def call(method, **params):
    """One call: a line of JSON there, a line back."""
    with socket.socket(socket.AF_UNIX) as wire:
        wire.connect(os.environ["SKEP_SOCKET"])
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        wire.sendall(json.dumps(message).encode() + b"\n")
        answer = json.loads(wire.makefile().readline())
    if "error" in answer:
        raise RuntimeError(answer["error"]["message"])
    return answer["result"]


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if os.path.exists("/data/broken"):
            self.send_error(503)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello\n")


server = http.server.HTTPServer(("127.0.0.1", 8080), Page)
call("write", path="/data/python.md", text="python serves", origin="argument")
print("serving", flush=True)
server.serve_forever()
