"""Calls a Messaging API with LINE's own SDK for Python, unmodified, once for each token.

Arguments: the API's address. Each line on standard input is a token; it is answered with the
status of `GET /v2/bot/info` and that of `POST /v2/bot/message/broadcast`.
"""

import sys

from linebot.v3.messaging import ApiClient, ApiException, BroadcastRequest, Configuration, MessagingApi, TextMessage


def status(call):
    try:
        return call().status_code
    except ApiException as refusal:
        return refusal.status


for line in sys.stdin:
    with ApiClient(Configuration(host=sys.argv[1], access_token=line.strip())) as client:
        api = MessagingApi(client)
        message = BroadcastRequest(messages=[TextMessage(text="Hello")])
        info = status(lambda: api.get_bot_info_with_http_info(_request_timeout=30))
        print(info, status(lambda: api.broadcast_with_http_info(message, _request_timeout=30)), flush=True)
