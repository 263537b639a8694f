"""A bot on LINE's SDK that greets people. It issues a short-lived token when it needs one, and
another once the Messaging API does not accept it any more."""

from linebot.v3.messaging import ApiClient, ApiException, Configuration, MessagingApi
from linebot.v3.messaging import PushMessageRequest, TextMessage
from linebot.v3.oauth import ApiClient as OAuthClient
from linebot.v3.oauth import ChannelAccessToken


class Bot:
    def __init__(self, api, authority, channel_id, channel_secret, token=None):
        self._api = api
        self._channel = (channel_id, channel_secret)
        self._tokens = ChannelAccessToken(OAuthClient())
        self._tokens.line_base_path = authority
        self.token = token

    def greet(self, person):
        """Sends a greeting; issues a token first if there is none that is accepted."""
        if self.token is None:
            self.renew()
        try:
            self._send(person)
        except ApiException as refused:
            if refused.status != 401:
                raise
            self.renew()
            self._send(person)

    def renew(self):
        issued = self._tokens.issue_channel_token("client_credentials", *self._channel)
        self.token = issued.access_token

    def _send(self, person):
        greeting = PushMessageRequest(to=person, messages=[TextMessage(text=f"Hello, {person}")])
        with ApiClient(Configuration(host=self._api, access_token=self.token)) as client:
            MessagingApi(client).push_message(greeting)
