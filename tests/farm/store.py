"""An S3 server (moto) that fails on purpose: what a file says happens to each request until it says otherwise.

    store.py HOST PORT FILE

The file holds nothing (all is well), `500` (every answer is an error), `hang` (no answer until the file changes, at most ten
minutes), or `lose` (the next PUT of a pack is answered well, and kept nowhere).
"""

import os
import sys
import time

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

LONGEST = 600


class Faulty:
    """Stands before the server."""

    def __init__(self, server, path):
        self.server, self.path = server, path

    def fault(self):
        try:
            with open(self.path, encoding="utf-8") as file:
                return file.read().strip()
        except FileNotFoundError:
            return ""

    def __call__(self, environ, start_response):
        until = time.monotonic() + LONGEST
        while self.fault() == "hang" and time.monotonic() < until:
            time.sleep(0.1)
        if self.fault() == "500":
            return answer(environ, start_response, "500 Internal Server Error", b"<Error><Code>InternalError</Code></Error>")
        is_pack = "/packs/" in environ.get("PATH_INFO", "")
        if self.fault() == "lose" and environ["REQUEST_METHOD"] == "PUT" and is_pack:
            os.replace(self.path, self.path + ".done")
            return answer(environ, start_response, "200 OK", b"")
        return self.server(environ, start_response)


def answer(environ, start_response, status, body):
    """Answers after all that was sent has been read, as a server does."""
    stream = environ["wsgi.input"]
    length = int(environ.get("CONTENT_LENGTH") or 0)
    while length > 0 and (read := stream.read(min(length, 1 << 20))):
        length -= len(read)
    start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body))), ("ETag", '"lost"')])
    return [body]


def main():
    host, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    os.environ["MOTO_PORT"] = str(port)
    server = DomainDispatcherApplication(create_backend_app)
    run_simple(host, port, Faulty(server, path), threaded=True)


if __name__ == "__main__":
    main()
