"""The application: every route that there is."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from laya_uptime.engine.heartbeats import Heartbeats
from laya_uptime.web.push import Push


def application(heartbeats: Heartbeats) -> Starlette:
    """Return it. Paths are taken as they stand: none is redirected to another."""
    app = Starlette(routes=Push(heartbeats).routes(), exception_handlers={Exception: _failed})
    app.router.redirect_slashes = False
    return app


async def _failed(request: Request, error: Exception) -> Response:
    del request, error  # neither is for strangers
    return PlainTextResponse("Internal fault", 500)
