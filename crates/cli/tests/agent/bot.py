"""A bot that lives through rotations: one process, one client of LINE's SDK each
for the agent's file and its socket, asked over and over. Says `ok TOKENS`, the
number of different tokens that it was seen with, after each round; ends when
its stdin does."""

import os
import sys

sys.path.insert(0, os.path.join(os.environ["BINDINGS"], "python"))

from linebot.v3.messaging import ApiClient, MessagingApi  # noqa: E402
from tegata.line import FreshConfiguration, from_file, from_socket  # noqa: E402

seen = set()


def noting(token):
    def noted():
        seen.add(found := token())
        return found

    return noted


tokens = [
    from_file(os.environ["TOKEN_FILE"]),
    from_socket(os.environ["SOCKET"], "bot", os.environ["CALLER_SECRET"]),
]
apis = [
    MessagingApi(ApiClient(FreshConfiguration(noting(token), host=os.environ["API"])))
    for token in tokens
]

for _ in sys.stdin:
    for api in apis:
        # Raises where the API answers 401.
        assert api.get_bot_info(_request_timeout=30).display_name == "Bot"
    print("ok", len(seen), flush=True)
