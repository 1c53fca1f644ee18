"""The app that answers searches of one collection over HTTP: JSON, thumbnails, and a page that uses them."""

import asyncio
import hmac
import io
import math
import re
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from dcmq.core.errors import DcmqError
from dcmq.search.collection import KINDS
from dcmq.search.held import CollectionInMemory, HeldCollection
from dcmq.search.listen import is_local
from dcmq.search.uploads import uploaded_image

PAGE = Path(__file__).parent / "page"
CHOSEN = "chosen"  # the threshold of training; none where the student has none
MOST_HITS, LONGEST_TEXT = 200, 1000  # that a request may ask for; letters of its text
_OPEN = frozenset({"/", "/page.css", "/page.js"})  # what needs no token: it tells nothing of the collection
_UPLOADS = 16  # in memory at a time
_THUMBNAIL_THREADS, _THUMBNAILS_WAITING = 2, 1000
_WORDS = 24  # that are told as examples
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
T = TypeVar("T")


class _Wanted(NamedTuple):
    """A search that is asked for: a kind of items, how many, near duplicates folded or not, and the least score or ``chosen``."""

    kind: str
    k: int
    fold: bool
    threshold: float | str


@dataclass(frozen=True)
class Limits:
    """Bounds of what a client can ask for.

    Attributes:
        upload_bytes, upload_seconds: of an image, and in which all of it must arrive.
        waiting: searches that wait for the one that runs; one more is refused at once.
    """

    upload_bytes: int = 20_000_000
    upload_seconds: float = 10
    waiting: int = 64


class _Places:
    """Places for so many requests at a time: one more is refused at once, with 503."""

    def __init__(self, number: int):
        self.number, self.taken = number, 0

    @contextmanager
    def one(self):
        if self.taken >= self.number:
            raise HTTPException(503, "too many searches at once: try again in a second", {"Retry-After": "1"})
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


class _Workers:
    """Threads, and a bounded queue before them."""

    def __init__(self, threads: int, waiting: int):
        self._pool, self._places = ThreadPoolExecutor(threads), _Places(threads + waiting)

    async def run(self, function: Callable[..., T], *arguments) -> T:
        with self._places.one():
            return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    def close(self) -> None:
        self._pool.shutdown()


class _Guard:
    """A gate before the app: it knows who may ask, and adds headers that keep browsers careful."""

    def __init__(self, app: ASGIApp, token: str, local: bool):
        self.app, self.token, self.local = app, token, local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def send_with_headers(message):
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await (self._refusal(Request(scope)) or self.app)(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        name = re.sub(r":\d*$", "", request.headers.get("host", "")).strip("[]").lower()
        if self.local and not is_local(name):  # a page of another host, whose name was made to lead here
            return _error(403, "this server answers to the names localhost and 127.0.0.1 only")
        if self.token and request.scope["path"] not in _OPEN:  # not request.url, which is made of the client's Host
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            given = given.strip() if scheme.lower() == "bearer" else request.query_params.get("token", "")
            if not hmac.compare_digest(given.encode(), self.token.encode()):
                message = "a token is needed, and this is not it: the server printed it when it started"
                return _error(401, message, {"WWW-Authenticate": "Bearer"})
        return None


class _SearchServer:
    """The answers to each address."""

    def __init__(self, held: HeldCollection, limits: Limits):
        self.held, self.limits = held, limits
        self.searches = _Workers(1, limits.waiting)
        self.thumbnails = _Workers(_THUMBNAIL_THREADS, _THUMBNAILS_WAITING)
        self.uploads = _Places(_UPLOADS)

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        yield
        self.searches.close()
        self.thumbnails.close()

    async def info(self, request: Request) -> Response:
        return JSONResponse(await self.searches.run(self._info))

    async def search(self, request: Request) -> Response:
        text, like = request.query_params.get("text", "").strip(), request.query_params.get("like", "")
        if bool(text) == bool(like):
            raise HTTPException(400, "exactly one is needed: text=, or like= with the id of an image; or POST an image")
        if len(text) > LONGEST_TEXT:
            raise HTTPException(400, f"the text has {len(text)} letters: give at most {LONGEST_TEXT}")
        wanted = _wanted(request, "images" if text else "texts")
        return JSONResponse(await self.searches.run(self._search, wanted, text, like, None))

    async def search_by_upload(self, request: Request) -> Response:
        wanted = _wanted(request, "texts")
        with self.uploads.one():
            image = await uploaded_image(request, self.limits.upload_bytes, self.limits.upload_seconds)
            return JSONResponse(await self.searches.run(self._search, wanted, "", "", image))

    async def thumbnail(self, request: Request) -> Response:
        content = await self.thumbnails.run(self._thumbnail, request.path_params["id"])
        return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=60"})

    def _info(self) -> dict:
        collection = self.held.current()
        indexes = {kind: collection.load_index(kind) for kind in KINDS}
        vocabulary, reads_all = collection.model.vocabulary, collection.model.can_read("")
        return {
            "name": self.held.folder.name,
            "bits": indexes["images"].bits,
            "counts": {kind: len(index) for kind, index in indexes.items()},
            "thumbnails": collection.has_image_files,
            "thresholds": {
                f"{asks} among {kind}": collection.threshold(kind, asks) for asks in KINDS for kind in KINDS
            },
            "vocabulary": len(vocabulary),
            "words": [] if reads_all else list(vocabulary[:: max(1, len(vocabulary) // _WORDS)][:_WORDS]),
            "limits": {"upload_bytes": self.limits.upload_bytes, "k": MOST_HITS, "text": LONGEST_TEXT},
        }

    def _search(self, wanted: _Wanted, text: str, like: str, image: io.BytesIO | None) -> dict:
        collection, kind = self.held.current(), wanted.kind
        if not len(collection.load_index(kind)):
            raise HTTPException(404, f"this collection holds no {kind}")
        if like:
            image = io.BytesIO(_of_image(collection.read_image, like))
        if text:
            try:
                collection.model.require_known(text)
            except DcmqError as error:
                raise HTTPException(400, str(error)) from None
        return {
            "among": kind,
            "unknown_words": collection.model.near_words(text) if text else {},
            **_hits(collection, wanted, text, image),
        }

    def _thumbnail(self, name: str) -> bytes:
        return _of_image(self.held.current().thumbnail, name)

    async def failure(self, request: Request, error: DcmqError) -> Response:
        return _error(500, self.held.without_folders(str(error)))


def _of_image(read: Callable[[str], bytes], name: str) -> bytes:
    try:
        return read(name)
    except FileNotFoundError:
        raise HTTPException(404, f"there is no image {name!r}, or its file is gone") from None


def _hits(collection: CollectionInMemory, wanted: _Wanted, text: str, image: io.BytesIO | None) -> dict:
    chosen = collection.threshold(wanted.kind, "texts" if text else "images") if wanted.threshold == CHOSEN else None
    least = chosen["value"] if chosen else -1.0 if wanted.threshold == CHOSEN else wanted.threshold
    try:
        hits = collection.search(wanted.kind, text=text, image=image, k=wanted.k, threshold=least, fold=wanted.fold)
    except DcmqError:
        if image is None:
            raise
        raise HTTPException(415, "no image that can be read") from None
    shown = wanted.kind == "images" and collection.has_image_files
    rows = [
        {
            "rank": hit.rank,
            "score": hit.score,
            "id": hit.id,
            "duplicates": hit.duplicates,
            "thumbnail": f"/thumbnail/{quote(hit.id)}" if shown else None,
        }
        for hit in hits
    ]
    return {"threshold": None if least == -1 else least, "hits": rows}


def _wanted(request: Request, default_kind: str) -> _Wanted:
    """The search that a request asks for. Raises HTTPException where it names what there is not."""
    asked = request.query_params
    kind, k = asked.get("among") or default_kind, asked.get("k", "24")
    if kind not in KINDS:
        raise HTTPException(400, f"among={kind}: give one of {', '.join(KINDS)}")
    if not (k.isascii() and k.isdigit() and len(k) < 9 and 1 <= int(k) <= MOST_HITS):
        raise HTTPException(400, f"k={k}: give a whole number from 1 to {MOST_HITS}")
    if (fold := asked.get("fold", "0")) not in ("0", "1"):
        raise HTTPException(400, f"fold={fold}: give 1 to count near duplicates with the best of them, or 0")
    if (given := asked.get("threshold", "-1")) == CHOSEN:
        return _Wanted(kind, int(k), fold == "1", CHOSEN)
    try:
        threshold = float(given)
    except ValueError:
        threshold = math.nan
    if not -1 <= threshold <= 1:
        raise HTTPException(400, f"threshold={given}: give a score from -1 to 1, or {CHOSEN}")
    return _Wanted(kind, int(k), fold == "1", threshold)


def _error(status: int, message: str, headers: dict | None = None) -> Response:
    return JSONResponse({"error": " ".join(message.split())}, status, headers)


async def _refused(request: Request, error: HTTPException) -> Response:
    return _error(error.status_code, error.detail, error.headers)


async def _left(request: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=400)  # that nobody reads


async def _broken(request: Request, error: Exception) -> Response:
    return _error(500, "the server failed: its terminal says how")


def search_app(held: HeldCollection, *, token: str = "", local: bool = True, limits: Limits | None = None) -> ASGIApp:
    """The app. Every answer that is no success is ``{"error": "one line"}``, and none names a folder of this machine.

    Args:
        token: asked of every request but that for the page itself; empty asks for none.
        local: answer only to requests for ``localhost`` or a loopback address.
    """
    server = _SearchServer(held, limits or Limits())
    routes = [
        Route("/api/info", server.info),
        Route("/api/search", server.search, methods=["GET"]),
        Route("/api/search", server.search_by_upload, methods=["POST"]),
        Route("/thumbnail/{id:path}", server.thumbnail),
        Mount("/", StaticFiles(directory=PAGE, html=True)),
    ]
    handlers = {
        HTTPException: _refused,
        DcmqError: server.failure,
        ClientDisconnect: _left,
        Exception: _broken,
    }
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=server.lifespan)
    return _Guard(app, token, local)
