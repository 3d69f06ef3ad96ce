"""Who a request comes from: the peer, or what a trusted proxy says of it."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from intake.settings import Network


class Sources:
    """Tells source addresses."""

    def __init__(self, trusted_proxies: tuple[Network, ...]) -> None:
        self._proxies = trusted_proxies
        self._is_proxy = lru_cache(4096)(self._trusted)

    def _trusted(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._proxies)

    def of(self, peer: str, headers: dict[bytes, bytes]) -> str:
        """The nearest address that is no trusted proxy: a client may write what it likes further left."""
        if not self._proxies or not self._is_proxy(peer):
            return peer
        address = peer
        for part in reversed(headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")):
            candidate = part.strip().partition("%")[0]  # a zone may be any text, and means nothing here
            try:
                ipaddress.ip_address(candidate)
            except ValueError:
                break
            address = candidate
            if not self._is_proxy(candidate):
                break
        return address
