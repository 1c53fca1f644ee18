"""A small Hugging Face hub on this machine: it keeps what the hub's client commits, and serves it again."""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_test"


class MockHub:
    """A server at ``address`` while the block runs.

    Attributes:
        repositories: by name, their files by path. public: whether one that exists is public.
        broken: an HTTP status that every request is answered with; 0: none.
        requests: the method and path of each, in order.
    """

    def __init__(self):
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.broken, self.requests = 0, []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "MockHub":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()

    def commit_of(self, repository: str) -> str:
        """A name for what the repository holds, 40 hexadecimal digits."""
        files = self.repositories[repository]
        return hashlib.sha1(b"".join(name.encode() + files[name] for name in sorted(files))).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: MockHub

    def do_HEAD(self):
        self._answer(None)

    def do_GET(self):
        self._answer(None)

    def do_POST(self):
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def log_message(self, *_):
        pass

    def _answer(self, body):
        hub, path = self.hub, self.path.partition("?")[0]
        hub.requests.append((self.command, path))
        allowed = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if hub.broken:
            return self._send(hub.broken, {"error": "broken"})
        if path == "/api/validate-yaml":
            return self._send(200, {"errors": [], "warnings": []})
        if path == "/api/repos/create":
            if not allowed:
                return self._send(401, {"error": "Invalid credentials"})
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            there = name in hub.repositories
            hub.repositories.setdefault(name, {})
            if not there and "private" in (asked.get("visibility"), asked.get("private") and "private"):
                hub.private.add(name)
            answer = {"url": f"{hub.address}/{name}", "id": name, "name": name}
            return self._send(409 if there else 200, answer)
        if served := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._file(*served.groups(), allowed)
        if asked := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(preupload|commit|revision|tree)/.+)?", path):
            return self._api(*asked.groups(), allowed, body)
        return self._send(404, {"error": f"no {path}"})

    def _api(self, name, action, allowed, body):
        hub = self.hub
        if name not in hub.repositories or (name in hub.private and not allowed):
            return self._send(404 if allowed else 401, {"error": "x"}, {"X-Error-Code": "RepoNotFound"})
        if action == "preupload":
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            return self._send(200, {"files": files})
        if action == "commit":
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    hub.repositories[name][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            commit = hub.commit_of(name)
            return self._send(200, {"commitUrl": f"{hub.address}/{name}/commit/{commit}", "commitOid": commit})
        return self._send(200, {"id": name, "sha": hub.commit_of(name), "private": name in hub.private, "siblings": []})

    def _file(self, name, revision, path, allowed):
        hub = self.hub
        if name not in hub.repositories or (name in hub.private and not allowed):
            return self._send(404 if allowed else 401, {"error": "x"}, {"X-Error-Code": "RepoNotFound"})
        commit = hub.commit_of(name)
        if revision not in ("main", commit):
            return self._send(404, {"error": "x"}, {"X-Error-Code": "RevisionNotFound"})
        content = hub.repositories[name].get(path)
        if content is None:
            return self._send(404, {"error": "x"}, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        etag = hashlib.sha1(content).hexdigest()
        return self._send(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": commit})

    def _send(self, status, content, headers=()):
        if not isinstance(content, bytes):
            content, headers = json.dumps(content).encode(), {"Content-Type": "application/json"} | dict(headers)
        self.send_response(status)
        for key, value in dict(headers).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
