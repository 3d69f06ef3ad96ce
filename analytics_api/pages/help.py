"""What each figure means."""

from typing import Any

from litestar import Controller, Request, Response, get

from analytics_api.pages.sessions import page_visitor
from analytics_api.pages.view import View


class HelpPages(Controller):
    """Definitions, linked from the heading of every figure."""

    guards = (page_visitor,)

    @get("/help/")
    async def figures(self, *, request: Request[Any, Any, Any]) -> Response[Any]:
        """All definitions."""
        view = View(request)
        return view.page(f"help_{view.language}.html")
