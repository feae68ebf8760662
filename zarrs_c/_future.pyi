from asyncio import Future
from typing import Any, TypeVar

from zarrs_c import OpStats

_T = TypeVar("_T")

class ReadFuture(Future[_T]):
    def cancel(self, msg: Any | None = None) -> bool: ...
    def stats(self) -> OpStats: ...

def cancel_now(future: Future[Any], msg: Any | None = None) -> bool: ...
