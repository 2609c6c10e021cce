"""A hub of models with one sparse file, sent by the kernel: as fast as loopback is, and it takes no disk.

All its bytes are zeros, so what is sent is its beginning again and again: else whoever reads it first would pay for
the kernel's reading it in.

python -m bench.sparse_server --port N --file PATH --sha256 HEX
"""

from __future__ import annotations

import argparse
import json
import os
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REPEATED_BYTES = 1 << 26


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--sha256", required=True)
    options = parser.parse_args()
    size = options.file.stat().st_size

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/api/models/"):
                lfs = {"sha256": options.sha256, "size": size}
                row = {"rfilename": options.file.name, "size": size, "lfs": lfs}
                self._answer(json.dumps({"sha": "0" * 40, "siblings": [row]}).encode())
            elif self.path.endswith(f"/{options.file.name}"):
                self._file()
            else:
                self._answer(b"")

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _file(self) -> None:
            found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            start = int(found[1]) if found else 0
            self.send_response(206 if found else 200)
            self.send_header("Content-Length", str(size - start))
            if found:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            self.end_headers()
            self.wfile.flush()
            with options.file.open("rb") as file:
                while start < size:
                    inside = start % REPEATED_BYTES
                    count = min(REPEATED_BYTES - inside, size - start)
                    start += os.sendfile(self.connection.fileno(), file.fileno(), inside, count)

        def log_message(self, *_: object) -> None: ...

    ThreadingHTTPServer(("127.0.0.1", options.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
