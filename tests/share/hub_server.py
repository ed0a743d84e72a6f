"""A hub on localhost: the endpoints that the installed client uses, repositories in memory, and faults on demand."""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_test"


@dataclass
class Repo:
    """Commits, oldest first; each is all of its files."""

    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes]) -> str:
        listing = "".join(f"{name} {hashlib.sha256(data).hexdigest()}\n" for name, data in sorted(files.items()))
        name = hashlib.sha1(f"{len(self.commits)}\n{listing}".encode()).hexdigest()
        self.commits[name] = files
        return name

    def find(self, revision: str) -> str | None:
        if revision == "main":
            return next(reversed(self.commits))
        return revision if revision in self.commits else self.tags.get(revision)


class Hub:
    """What the server knows, and what it was asked.

    Attributes
    ----------
    repos : dict
        By ``owner/name``.
    blobs : dict
        Large files by SHA-256: what an interrupted upload has left.
    asked : list of (method, path)
    faults : list of (method, part of the path, bytes)
        Each breaks the connection once, after so many bytes of a body.
    """

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.faults: list[tuple[str, str, int]] = []
        self.ranges: list[str] = []
        self.extra_names: dict[str, int] = {}  # that listings claim to be there
        self.lock = threading.Lock()

    def repo(self, name: str, files: dict[str, bytes], *, private: bool = False) -> Repo:
        """Make a repository as if somebody had pushed it."""
        self.repos[name] = Repo(private)
        self.repos[name].commit(files)
        return self.repos[name]

    def counted(self, method: str, part: str) -> int:
        return sum(asked == method and part in path for asked, path in self.asked)

    def fault(self, method: str, path: str) -> int | None:
        with self.lock:
            for one in self.faults:
                if one[0] == method and one[1] in path:
                    self.faults.remove(one)
                    return one[2]
        return None


def blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def is_large(name: str) -> bool:
    return name.endswith((".safetensors", ".png", ".ckpt"))


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        url = urlsplit(self.path)
        self.query, path = parse_qs(url.query), unquote(url.path)
        self.hub.asked.append((self.command, path))
        for method, pattern, act in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and self.command in method.split():
                name = found.groupdict().get("repo")
                if name and self._refused(name):
                    return
                act(self, **found.groupdict())
                return
        self._error(404, "EntryNotFound")

    def _refused(self, name: str) -> bool:
        repo, known = self.hub.repos.get(name), self.headers.get("authorization") == f"Bearer {TOKEN}"
        if repo is None or (repo.private and not known):
            self._error(404 if known else 401, "RepoNotFound")
            return True
        if self.command in ("POST", "PUT") and not known:
            self._error(401, "")
            return True
        return False

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def _json(self, value: object, status: int = 200) -> None:
        self._send(json.dumps(value).encode(), status, {"Content-Type": "application/json"})

    def _error(self, status: int, code: str) -> None:
        self._body()
        self._send(b'{"error": "no"}', status, {"X-Error-Code": code, "X-Error-Message": code or "unauthorised"})

    def _send(self, data: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        stop = self.hub.fault(self.command, self.path)
        self.wfile.write(data if stop is None else data[:stop])
        if stop is not None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()

    def create(self) -> None:
        told = json.loads(self._body())
        if self.headers.get("authorization") != f"Bearer {TOKEN}":
            self._send(b"{}", 401, {})
            return
        name = f"{told['organization']}/{told['name']}"
        there = name in self.hub.repos
        if not there:
            self.hub.repo(name, {}, private=told.get("visibility") == "private")
        self._json({"url": f"http://{self.headers['host']}/{name}"}, 409 if there else 200)

    def info(self, repo: str, revision: str = "main") -> None:
        held = self.hub.repos[repo]
        commit = held.find(revision)
        if commit is None:
            self._error(404, "RevisionNotFound")
            return
        files = {name: len(data) for name, data in held.commits[commit].items()} | self.hub.extra_names
        siblings = [{"rfilename": name, "size": size} for name, size in files.items()]
        self._json({"id": repo, "sha": commit, "private": held.private, "siblings": siblings, "tags": []})

    def tree(self, repo: str, commit: str) -> None:
        self._json([_described(name, data) for name, data in self.hub.repos[repo].commits[commit].items()])

    def models(self) -> None:
        search = self.query.get("search", [""])[0]
        shown = []
        for name, repo in self.hub.repos.items():
            card = repo.commits[next(reversed(repo.commits))].get("README.md", b"").decode()
            if repo.private or search not in name or "library_name: tribetune" not in card:
                continue
            licence = re.search(r"^license: (.*)$", card, re.M)
            base = re.search(r"^base_model: (.*)$", card, re.M)
            tags = ["tribetune", f"license:{licence[1]}" if licence else "", f"base_model:{base[1]}" if base else ""]
            shown.append({"id": name, "tags": [tag for tag in tags if tag]})
        self._json(shown)

    def validate(self) -> None:
        text = json.loads(self._body())["content"]
        self._json({"errors": [] if text.startswith("---") else [{"message": "no metadata"}], "warnings": []})

    def preupload(self, repo: str, revision: str) -> None:
        held = self.hub.repos[repo]
        files = held.commits[held.find(revision) or ""]
        told = []
        for one in json.loads(self._body())["files"]:
            name = one["path"]
            mode = {"path": name, "uploadMode": "lfs" if is_large(name) else "regular", "shouldIgnore": False}
            if name in files:
                data = files[name]
                mode["oid"] = hashlib.sha256(data).hexdigest() if is_large(name) else blob_id(data)
            told.append(mode)
        self._json({"files": told})

    def batch(self, repo: str) -> None:  # noqa: ARG002 - a part of the path
        host, objects = self.headers["host"], []
        for one in json.loads(self._body())["objects"]:
            wanted = {"upload": {"href": f"http://{host}/lfs/{one['oid']}"}}
            wanted["verify"] = {"href": f"http://{host}/lfs-verify"}
            objects.append({**one, **({} if one["oid"] in self.hub.blobs else {"actions": wanted})})
        self._json({"transfer": "basic", "objects": objects})

    def put(self, oid: str) -> None:
        stop = self.hub.fault("PUT", self.path)
        if stop is not None:
            self.rfile.read(stop)
            self.close_connection = True
            self.connection.close()
            return
        data = self._body()
        if hashlib.sha256(data).hexdigest() != oid:
            self._error(400, "")
            return
        self.hub.blobs[oid] = data
        self._send(b"", 200, {})

    def verified(self) -> None:
        told = json.loads(self._body())
        self._json({}, 200 if len(self.hub.blobs.get(told["oid"], b"")) == told["size"] else 404)

    def commit(self, repo: str, revision: str) -> None:
        held = self.hub.repos[repo]
        files = dict(held.commits[held.find(revision) or ""])
        for line in self._body().splitlines():
            one = json.loads(line)
            value = one["value"]
            if one["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif one["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif one["key"] == "deletedFile":
                del files[value["path"]]
        name = held.commit(files)
        self._json({"commitUrl": f"http://{self.headers['host']}/{repo}/commit/{name}", "commitOid": name})

    def resolve(self, repo: str, revision: str, name: str) -> None:
        held = self.hub.repos[repo]
        commit = held.find(revision)
        if commit is None or name not in held.commits[commit]:
            self._error(404, "EntryNotFound")
            return
        data = held.commits[commit][name]
        etag = hashlib.sha256(data).hexdigest() if is_large(name) else blob_id(data)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        if span:
            self.hub.ranges.append(span[0])
            headers["Content-Range"] = f"bytes {span[1]}-{len(data) - 1}/{len(data)}"
            self._send(data[int(span[1]) :], 206, headers)
            return
        self._send(data, 200, headers)


def _described(name: str, data: bytes) -> dict[str, object]:
    told: dict[str, object] = {"type": "file", "path": name, "size": len(data), "oid": blob_id(data)}
    if is_large(name):
        told["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return told


_REPO = r"(?P<repo>[\w.-]+/[\w.-]+)"
ROUTES = [
    ("POST", "/api/repos/create", Handler.create),
    ("POST", "/api/validate-yaml", Handler.validate),
    ("GET", "/api/models", Handler.models),
    ("GET", f"/api/models/{_REPO}", Handler.info),
    ("GET", rf"/api/models/{_REPO}/revision/(?P<revision>.+)", Handler.info),
    ("GET", rf"/api/models/{_REPO}/tree/(?P<commit>\w+)", Handler.tree),
    ("POST", rf"/api/models/{_REPO}/preupload/(?P<revision>.+)", Handler.preupload),
    ("POST", rf"/api/models/{_REPO}/commit/(?P<revision>.+)", Handler.commit),
    ("POST", rf"/{_REPO}\.git/info/lfs/objects/batch", Handler.batch),
    ("PUT", r"/lfs/(?P<oid>\w+)", Handler.put),
    ("POST", "/lfs-verify", Handler.verified),
    ("GET HEAD", rf"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<name>.+)", Handler.resolve),
]


def serve() -> tuple[ThreadingHTTPServer, Hub]:
    """Start a hub on a free port of localhost; ``server.shutdown()`` ends it."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server, hub
