"""An ASGI application whose middleware lets v2.1 and short-lived tokens through."""

import os

import tegata
from tegata.asgi import Middleware

verifier = tegata.connect(os.environ["AUTHORITY"], os.environ["SECRET"], staleness=30)
verifier.ready(60)


async def inner(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return verifier.close()
    body = scope["tegata.token"].channel.encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


application = Middleware(inner, verifier, kinds=["v2.1", "short-lived"])
