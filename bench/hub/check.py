"""Checks the cache that `orchestrator model pull` writes with Python's own libraries, and finds with `orchestrator model show` what
they write. No network: a hub on loopback serves a model's folder.

    check.py ORCHESTRATOR MODEL_FOLDER

Needs huggingface_hub (2.4.0 was used) and sentence-transformers (6.2.0). MODEL_FOLDER is any folder of sentence-transformers.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "org/model"


def serve(root: pathlib.Path) -> str:
    files = {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}

    def of(name: str) -> dict:
        content = files[name]
        one = {"rfilename": name, "size": len(content)}
        if name.endswith((".safetensors", ".bin")):
            sha = hashlib.sha256(content).hexdigest()
            return one | {"blobId": "f" * 40, "lfs": {"sha256": sha, "size": len(content), "pointerSize": 134}}
        return one | {"blobId": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()}

    class Hub(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            path = self.path.split("?")[0]
            start = f"/{NAME}/resolve/"
            headers = {"X-Repo-Commit": COMMIT}
            if path.startswith(f"/api/models/{NAME}/tree/"):
                tree = []
                for one in map(of, files):
                    entry = {"type": "file", "path": one["rfilename"], "size": one["size"], "oid": one["blobId"]}
                    if "lfs" in one:
                        entry["lfs"] = {"oid": one["lfs"]["sha256"], "size": one["size"], "pointerSize": 134}
                    tree.append(entry)
                body = json.dumps(tree).encode()
                headers["Content-Type"] = "application/json"
            elif path.startswith(f"/api/models/{NAME}"):
                listing = {"id": NAME, "sha": COMMIT, "siblings": [of(name) for name in files]}
                body = json.dumps(listing).encode()
                headers["Content-Type"] = "application/json"
            elif path.startswith(start) and (name := path[len(start):].split("/", 1)[1]) in files:
                body = files[name]
                one = of(name)
                headers["ETag"] = f'"{one["lfs"]["sha256"] if "lfs" in one else one["blobId"]}"'
            else:
                headers["X-Error-Code"] = "EntryNotFound"
                self.answer(404, headers, b"")
                return
            self.answer(200, headers, body)

        def answer(self, status, headers, body):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def main() -> None:
    orchestrator, folder = sys.argv[1:]
    url = serve(pathlib.Path(folder))

    def ours(home: str, *arguments: str) -> dict:
        kept = {"PATH": os.environ["PATH"], "HF_HOME": home, "HF_ENDPOINT": url}
        done = subprocess.run([orchestrator, "model", *arguments, "--json"], env=kept, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def theirs(home: str, code: str, offline: str) -> str:
        env = os.environ | {"HF_HOME": home, "HF_ENDPOINT": url, "HF_HUB_OFFLINE": offline, "HF_HUB_DISABLE_TELEMETRY": "1"}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1]

    encode = (
        "from sentence_transformers import SentenceTransformer as S\n"
        "import hashlib, sys\n"
        "print(hashlib.sha256(S({0!r}).encode(['a claim', 'and another']).tobytes()).hexdigest())"
    )
    with tempfile.TemporaryDirectory() as home:
        pulled = ours(home, "pull", NAME)
        seen = theirs(home, f"import huggingface_hub as h\nprint(h.snapshot_download({NAME!r}, local_files_only=True))", "1")
        assert seen == pulled["folder"], (seen, pulled["folder"])
        scan = theirs(home, "import huggingface_hub as h\ni = h.scan_cache_dir()\nprint(len(i.repos), i.size_on_disk, i.warnings)", "1")
        total = sum(one["bytes"] for one in pulled["files"])
        assert scan == f"1 {total} []", (scan, total)
        assert theirs(home, encode.format(NAME), "1") == theirs(home, encode.format(folder), "1")
        print(f"Python finds and loads what we pulled: {len(pulled['files'])} files, {total} bytes")
    with tempfile.TemporaryDirectory() as home:
        theirs(home, f"import huggingface_hub as h\nprint(h.snapshot_download({NAME!r}))", "0")
        shown = ours(home, "show", NAME)
        again = ours(home, "pull", NAME)
        assert shown["supported"] and again["downloaded_bytes"] == 0, (shown, again)
        print("we find what Python pulled, and have nothing to download")


main()
