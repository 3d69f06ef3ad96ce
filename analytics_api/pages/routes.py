"""All pages under one router: the guard against forged forms and the errors' pages hold for every one of them."""

from litestar import Router
from litestar.datastructures import CacheControlHeader
from litestar.di import Provide
from litestar.static_files import create_static_files_router

from analytics_api.access.guards import PUBLIC
from analytics_api.pages import errors, sessions, view
from analytics_api.pages.access import AccessPages
from analytics_api.pages.admin import ChecksPages, PipelinePages, UsersPages
from analytics_api.pages.figures import FiguresPages
from analytics_api.pages.help import HelpPages
from analytics_api.pages.watch import Watch
from analytics_api.snapshots.services import SnapshotTaker
from analytics_api.status.services import StatusReader

DAY_S = 24 * 3600


def pages(status_reader: StatusReader, taker: SnapshotTaker) -> list[Router]:
    """The pages, and the files that they load."""
    watch = Watch(status_reader)
    return [
        Router(
            "/",
            route_handlers=[AccessPages, FiguresPages, HelpPages, ChecksPages, UsersPages, PipelinePages],
            dependencies={
                "watch": Provide(lambda: watch, sync_to_thread=False),
                "snapshot_taker": Provide(lambda: taker, sync_to_thread=False),
            },
            before_request=sessions.refuse_forged,
            exception_handlers=errors.HANDLERS,
            opt=sessions.PAGE,
            include_in_schema=False,
        ),
        create_static_files_router(
            path="/static",
            directories=[view.STATIC],
            opt=PUBLIC,
            include_in_schema=False,
            cache_control=CacheControlHeader(max_age=DAY_S, public=True),
        ),
    ]
