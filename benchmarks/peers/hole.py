"""A black hole: accepts every connection on loopback and never answers. Prints its port."""

import contextlib
import selectors
import socket


def main() -> None:
    """Accept and keep silent until killed."""
    kept: set[socket.socket] = set()
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as server, selectors.DefaultSelector() as selector:
        server.setblocking(False)
        selector.register(server, selectors.EVENT_READ)
        print(server.getsockname()[1], flush=True)
        while True:
            for key, _ in selector.select():
                if key.fileobj is server:
                    connection, _ = server.accept()
                    connection.setblocking(False)
                    selector.register(connection, selectors.EVENT_READ)
                    kept.add(connection)
                    continue
                assert isinstance(key.fileobj, socket.socket)
                data = b""
                with contextlib.suppress(OSError):
                    data = key.fileobj.recv(65536)
                if not data:  # the other side gave up
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
                    kept.discard(key.fileobj)


if __name__ == "__main__":
    main()
