/** A bot on LINE's SDK that greets people. It issues a short-lived token when it needs one, and
 *  another once the Messaging API does not accept it any more. */
"use strict";

const { HTTPFetchError, channelAccessToken, messagingApi } = require("@line/bot-sdk");

class Bot {
  constructor({ api, authority, channelId, channelSecret, token }) {
    this.api = api;
    this.channel = [channelId, channelSecret];
    this.tokens = new channelAccessToken.ChannelAccessTokenClient({ baseURL: authority });
    this.token = token;
  }

  /** Sends a greeting; issues a token first if there is none that is accepted. */
  async greet(person) {
    if (this.token === undefined) await this.renew();
    try {
      await this.#send(person);
    } catch (error) {
      if (!(error instanceof HTTPFetchError) || error.status !== 401) throw error;
      await this.renew();
      await this.#send(person);
    }
  }

  async renew() {
    const issued = await this.tokens.issueChannelToken("client_credentials", ...this.channel);
    this.token = issued.access_token;
  }

  async #send(person) {
    const client = new messagingApi.MessagingApiClient({
      baseURL: this.api,
      channelAccessToken: this.token,
    });
    await client.pushMessage({ to: person, messages: [{ type: "text", text: `Hello, ${person}` }] });
  }
}

module.exports = { Bot };
