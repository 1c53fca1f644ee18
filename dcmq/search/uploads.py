"""An image from a request, within limits of size, time and pixels."""

import asyncio
import io
from collections.abc import AsyncIterator

import python_multipart  # noqa: F401 (starlette reads forms with it, and asks for it only then)
from PIL import Image
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from dcmq.data.open_images import MOST_PIXELS, UNREADABLE, silence_pillow

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # never those for which Pillow starts other programs
PIXELS = MOST_PIXELS
_MULTIPART = "multipart/form-data"


async def uploaded_image(request: Request, size: int, seconds: float) -> io.BytesIO:
    """The image that is the body of a request, or the first file of its form. Its header was read, its pixels were not.

    Args:
        size: bytes, at most.
        seconds: in which all of it must arrive.

    Raises:
        HTTPException: 400, 408, 413 or 415, with a line that says why.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _MULTIPART and kind != "application/octet-stream" and not kind.startswith("image/"):
        how = f"as a file in {_MULTIPART}, or alone with Content-Type: image/jpeg or the like"
        raise HTTPException(415, f"this is {kind or 'of no named type'}: send an image, {how}")
    body = await _received(request, size, seconds)
    content = io.BytesIO(await _first_file(request, body) if kind == _MULTIPART else body)
    _check(content)
    return content


async def _received(request: Request, size: int, seconds: float) -> bytes:
    body, declared = bytearray(), request.headers.get("content-length", "")
    too_large = HTTPException(413, f"more than {size / 1e6:g} MB: send a smaller image")
    if declared.isdigit() and int(declared) > size:
        raise too_large
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > size:
                    raise too_large
    except TimeoutError:
        closing = {"Connection": "close"}
        raise HTTPException(408, f"not all of it came within {seconds:g} seconds", closing) from None
    return bytes(body)


async def _first_file(request: Request, body: bytes) -> bytes:
    async def whole() -> AsyncIterator[bytes]:
        yield body

    try:
        form = await MultiPartParser(request.headers, whole(), max_files=1, max_fields=8).parse()
    except MultiPartException as error:
        raise HTTPException(400, f"the form cannot be read: {error.message}") from None
    for value in form.values():
        if isinstance(value, UploadFile):
            try:
                return await value.read()
            finally:
                await value.close()
    raise HTTPException(400, "the form holds no file: send the image as its field 'image'")


def _check(content: io.BytesIO) -> None:
    silence_pillow()
    try:
        with Image.open(content, formats=FORMATS) as image:
            pixels = image.width * image.height
    except Image.DecompressionBombError:
        pixels = PIXELS + 1
    except UNREADABLE:
        raise HTTPException(415, f"no image that can be read: send one of {', '.join(FORMATS)}") from None
    if pixels > PIXELS:
        raise HTTPException(413, f"more than {PIXELS / 1e6:.0f} million pixels: send a smaller image")
    content.seek(0)
