"""Where a request came from, as it is written down."""

from __future__ import annotations


class Source:
    """Address and request id, as bytes: they go into lines and headers as they are."""

    __slots__ = ("address", "request_id")

    def __init__(self, address: bytes, request_id: bytes) -> None:
        self.address = address
        self.request_id = request_id
