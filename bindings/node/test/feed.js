/** An authority that serves the vectors of `testdata/feed` over HTTP, one under each path. */
"use strict";

const http = require("node:http");

/** Serves `cases[N]` at `/N/`; resolves to the address. */
function authority(cases) {
  const calls = { snapshot, changes, usage: () => ({}) };
  const server = http.createServer(async (request, response) => {
    const url = new URL(request.url, "http://authority");
    const [, number, , call] = url.pathname.split("/");
    const query = Object.fromEntries(url.searchParams);
    const answer = await calls[call](cases[number], query, request);
    response.end(JSON.stringify({ ...answer, seq: query.seq }));
  });
  server.unref();
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${server.address().port}`));
  });
}

function head(it) {
  // A case of changes has its time in its probes.
  return { feed: 1, age_ms: 0, time_ms: 1000 * (it.time ?? it.probes[0].time) };
}

function snapshot(it) {
  return { ...head(it), snapshot: it.snapshot };
}

async function changes(it, { after, hold }, request) {
  const response = (it.responses ?? []).find((response) => response.after === after);
  if (response) return { ...response, time_ms: head(it).time_ms };
  await new Promise((resolve) => {
    setTimeout(resolve, Number(hold)).unref();
    request.once("close", resolve);
  });
  return { ...head(it), after, through: after, changes: [] };
}

module.exports = { authority };
