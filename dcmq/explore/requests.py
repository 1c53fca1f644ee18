"""Requests that the widget sends and what answers them: functions by name, whose annotations check their arguments."""

from collections.abc import Callable

from pydantic import ConfigDict, ValidationError, validate_call

from dcmq.core.errors import DcmqError
from dcmq.core.registry import Registry

Answer = tuple[dict, list[bytes]]  # what JSON can hold, and buffers: memory of numbers, or files
REQUESTS: Registry[Callable[..., Answer]] = Registry("request")


def register_request(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Let ``function(bench, **arguments)`` answer requests of its name; decorates it, and returns it as it is.

    Arguments come from the browser and are checked by the function's annotations, such as ``Annotated[int, Field(ge=1)]``.
    """
    checked = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(function)
    REQUESTS.register(function.__name__, checked)
    return function


def answer(bench, kind: str, arguments: dict) -> Answer:
    """The answer of the request ``kind``.

    Raises:
        DcmqError: no such request, an argument that it does not take, or what the function itself refuses.
    """
    function = REQUESTS[kind]
    try:
        return function(bench, **arguments)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise DcmqError(f"{kind}: {place}: {problem['msg'][:1].lower()}{problem['msg'][1:]}") from None
