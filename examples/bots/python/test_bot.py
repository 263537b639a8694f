"""What the bot does when its token is not accepted any more. Each test has a server of its own:

    pip install tegata pytest line-bot-sdk
    pytest
"""

import os

import linebot.v3.messaging as line
import pytest
from bot import Bot
from linebot.v3.oauth.exceptions import ApiException
from messaging_api import MessagingApi
from tegata.line import FreshConfiguration, from_file

DAY = 24 * 60 * 60


@pytest.fixture
def api(stand_in):
    api = MessagingApi(stand_in.connect(staleness=30))
    yield api
    api.close()


@pytest.fixture
def bot(stand_in, api):
    return Bot(api.url, stand_in.url, stand_in.channel.id, stand_in.channel.secret)


def test_it_issues_a_token_when_it_needs_one(bot, api):
    bot.greet("Ann")
    first = bot.token
    bot.greet("Bob")
    assert bot.token == first
    assert api.sent == [("Ann", "Hello, Ann"), ("Bob", "Hello, Bob")]


def test_an_expired_token_is_replaced(bot, api, stand_in):
    bot.greet("Ann")
    first = bot.token
    stand_in.advance(30 * DAY)
    bot.greet("Bob")
    assert bot.token != first
    assert [person for person, _ in api.sent] == ["Ann", "Bob"]


def test_a_revoked_token_is_replaced(bot, api, stand_in):
    bot.greet("Ann")
    first = bot.token
    stand_in.revoke(first)
    bot.greet("Bob")
    assert bot.token != first and not stand_in.is_active(first)


def test_the_31st_token_of_its_channel_evicts_the_bots_and_it_issues_another(bot, api, stand_in):
    bot.greet("Ann")
    first = bot.token
    # Another copy of the bot issues one token for each of its processes.
    for _ in range(30):
        stand_in.issue("short-lived")
    stand_in.settle()
    assert not stand_in.is_active(first)
    bot.greet("Bob")
    assert bot.token != first
    assert [person for person, _ in api.sent] == ["Ann", "Bob"]


def test_a_token_is_rotated_in_mid_conversation(api, stand_in, tmp_path):
    file = tmp_path / "token"

    def rotate():
        """Replaces the file as a whole, as `tegata agent` does."""
        (tmp_path / "new").write_text(stand_in.issue("short-lived"))
        os.replace(tmp_path / "new", file)

    rotate()
    # One client, for as long as the process runs.
    client = line.MessagingApi(line.ApiClient(FreshConfiguration(from_file(file), host=api.url)))

    def say(text):
        client.push_message(line.PushMessageRequest(to="Ann", messages=[line.TextMessage(text=text)]))

    say("What would you like?")
    first = file.read_text()
    rotate()
    stand_in.revoke(first)
    say("Here it is.")
    assert [text for _, text in api.sent] == ["What would you like?", "Here it is."]


def test_it_does_not_send_while_no_token_can_be_issued(bot, api, stand_in):
    for status in (429, 500):
        stand_in.fault(status, path="/v2/oauth/accessToken")
        with pytest.raises(ApiException) as raised:
            bot.greet("Ann")
        assert raised.value.status == status
    bot.greet("Ann")
    assert api.sent == [("Ann", "Hello, Ann")]
