"""The HTTP check keeps what every check promises."""

from laya_uptime.adapters.checks.http import HttpCheck
from laya_uptime.domain.secret import Secret
from laya_uptime.ports import Check
from laya_uptime.testing.check_contract import CheckContract


class TestHttpContract(CheckContract):
    def check(self, host: str, port: int, *, secret: str = "") -> Check:
        userinfo = f"user:{secret}@" if secret else ""
        return HttpCheck(
            url=Secret(f"http://{userinfo}{host}:{port}/health?token={secret}"),
            headers={"Authorization": Secret(f"Bearer {secret}")} if secret and not userinfo else {},
        )
