"""JSON as the contract wants it: money as numbers with their exact digits, never through a binary float."""

from typing import Any

import msgspec
from litestar import Response

_encoder = msgspec.json.Encoder(decimal_format="number")


def encode(value: Any) -> bytes:  # noqa: ANN401  (whatever msgspec can encode)
    """JSON bytes of `value`; Decimal 27.40 becomes the number 27.40."""
    return _encoder.encode(value)


class JsonResponse(Response[Any]):
    """A response whose content is encoded by `encode`."""

    def render(self, content: Any, media_type: str, enc_hook: Any = None) -> bytes:  # noqa: ANN401, ARG002  (litestar's signature)
        """Encode unless the content is encoded already."""
        if isinstance(content, bytes):
            return content
        if isinstance(content, str):
            return content.encode()
        if content is None:
            return b""
        return encode(content)
