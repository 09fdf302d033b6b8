"""`python -m laya_uptime` is the command `laya-uptime`."""

from laya_uptime.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
