/** The part of a Messaging API that the bot uses. It verifies tokens in memory, as a real API
 *  behind Tegata does. */
"use strict";

const http = require("node:http");
const { middleware } = require("tegata/express");

class MessagingApi {
  /** What was sent: pairs of the receiver and the text. */
  sent = [];
  #server;

  static async start(verifier) {
    const api = new MessagingApi();
    const verified = middleware(verifier);
    api.#server = http.createServer((request, response) =>
      verified(request, response, () => api.#push(request, response)),
    );
    await new Promise((resolve) => api.#server.listen(0, "127.0.0.1", resolve));
    api.url = `http://127.0.0.1:${api.#server.address().port}`;
    return api;
  }

  async #push(request, response) {
    let text = "";
    for await (const part of request) text += part;
    const { to, messages } = JSON.parse(text);
    this.sent.push(...messages.map((message) => [to, message.text]));
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ sentMessages: [{ id: "1" }] }));
  }

  close() {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

module.exports = { MessagingApi };
