"""A model hub on this machine: the part of its HTTP interface that `snapshot_download` asks for.

As on the real one, small files come at once, and weights from a second host that a redirect names.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import MappingProxyType
from urllib.parse import unquote, urlsplit


@dataclass
class Repository:
    """What the hub has under a name, and how its answers go wrong.

    refusal: status and error code of every answer; gated: the files are refused, not their names.
    alter: makes what is sent from the weights, while the hub announces their true size.
    breaks: how many connections break in the middle of the weights before one holds.
    """

    files: dict[str, bytes]
    refusal: tuple[HTTPStatus, str] | None = None
    gated: bool = False
    alter: Callable[[bytes], bytes] = bytes
    breaks: int = 0
    fetched: list[str] = field(default_factory=list)  # one entry for each file sent, even in part
    ranges: list[str] = field(default_factory=list)  # the Range headers that came

    @property
    def commit(self) -> str:
        content = repr(sorted(self.files.items())).encode()
        return hashlib.sha1(content).hexdigest()


def folder_files(folder: Path) -> dict[str, bytes]:
    """The files of a folder as a repository holds them."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


class Hub:
    """The server; what it has may be changed between requests.

    moved: old names, of which many have no owner, and the new ones to which it redirects.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.moved: dict[str, str] = {}
        self.port = 0  # any free one, and from then on the same
        self.start()

    def start(self) -> None:
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self.port = self.server.server_port
        Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Nothing listens inside this block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def storage_url(self) -> str:
        return f"http://localhost:{self.port}/storage"  # to the client this is another host


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        name = "([^/]+(?:/[^/]+)?)"
        for pattern, answer in (
            (rf"/api/models/{name}/revision/[^/]+", self.model),
            (rf"/api/models/{name}/tree/[^/]+", self.tree),
            (rf"/{name}/resolve/[^/]+/(.+)", self.file),
            (rf"/storage/{name}/(.+)", self.weights),
        ):
            if match := re.fullmatch(pattern, path):
                self.check_and(answer, *match.groups())
                return
        self.refuse(HTTPStatus.NOT_IMPLEMENTED, self.path)

    def check_and(self, answer: Callable[..., None], name: str, *path: str) -> None:
        repository = self.hub.repositories.get(name)
        if new := self.hub.moved.get(name):
            headers = {"Location": self.path.replace(f"/{name}/", f"/{new}/", 1)}
            self.answer(b"", headers, HTTPStatus.TEMPORARY_REDIRECT)
        elif repository is None:
            self.refuse(HTTPStatus.NOT_FOUND, "RepoNotFound")
        elif repository.refusal is not None:
            self.refuse(*repository.refusal)
        elif repository.gated and path:
            self.refuse(HTTPStatus.UNAUTHORIZED, "GatedRepo")
        else:
            answer(name, repository, *path)

    def model(self, name: str, repository: Repository) -> None:
        self.answer(json.dumps({"id": name, "sha": repository.commit}).encode())

    def tree(self, name: str, repository: Repository) -> None:
        entries = [
            {"type": "file", "path": path, "size": len(content), "oid": _blob_id(content)}
            for path, content in repository.files.items()
        ]
        self.answer(json.dumps(entries).encode())

    def file(self, name: str, repository: Repository, path: str) -> None:
        content = repository.files[path]
        headers = {"X-Repo-Commit": repository.commit, "ETag": f'"{_blob_id(content)}"'}
        if path.endswith((".safetensors", ".bin")):
            headers |= {
                "Location": f"{self.hub.storage_url}/{name}/{path}",
                "X-Linked-Size": str(len(content)),
                "X-Linked-ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            }
            self.answer(b"", headers, HTTPStatus.FOUND)
            return
        if self.command == "GET":
            repository.fetched.append(path)
        self.answer(content, headers)

    def weights(self, name: str, repository: Repository, path: str) -> None:
        content = repository.alter(repository.files[path])
        first, status, headers = 0, HTTPStatus.OK, {}
        if wanted := self.headers.get("Range"):
            repository.ranges.append(wanted)
            first = int(wanted.removeprefix("bytes=").removesuffix("-"))
            status = HTTPStatus.PARTIAL_CONTENT
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        repository.fetched.append(path)
        end = len(content)
        if repository.breaks:
            repository.breaks -= 1
            end //= 2
        self.answer(content[first:], headers, status, sent=max(end - first, 0))

    def answer(
        self,
        content: bytes,
        headers: Mapping[str, str] = MappingProxyType({}),
        status: HTTPStatus = HTTPStatus.OK,
        sent: int | None = None,
    ) -> None:
        """Announce the content and send its first `sent` bytes; None: all."""
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[:sent])

    def refuse(self, status: HTTPStatus, code: str) -> None:
        self.answer(b"", {"X-Error-Code": code}, status)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
