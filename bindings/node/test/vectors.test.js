/** The vectors of `testdata/feed`, of both token forms, by the package as it is installed. */
"use strict";

const assert = require("node:assert");
const fs = require("node:fs");
const path = require("node:path");
const test = require("node:test");
const { connect, Invalid } = require("tegata");
const { authority } = require("./feed.js");

/** The words of a vector for the package's own. */
const REASONS = { "unknown-key": "signed by an unknown key", suspended: "its channel is suspended" };

function cases(name) {
  return JSON.parse(fs.readFileSync(path.join(process.env.TESTDATA, name))).cases;
}

async function answer(verifier, token) {
  try {
    return ["active", (await verifier.verify(token)).until];
  } catch (error) {
    if (!(error instanceof Invalid)) throw error;
    const found = Object.keys(REASONS).find((word) => error.message.includes(REASONS[word]));
    return [found ?? "invalid", undefined];
  }
}

test("tokens get the answers of the vectors", async () => {
  const all = cases("verify.json");
  const url = await authority(all);
  const forms = new Set(all.filter((it) => it.answer === "active").map((it) => it.token.slice(0, 4)));
  for (const form of ["eyJh", "tgs_", "tgl_"]) assert(forms.has(form), form);
  for (const [number, it] of all.entries()) {
    const verifier = connect(`${url}/${number}`, "token");
    assert(await verifier.ready(60), it.name);
    assert.deepStrictEqual(await answer(verifier, it.token), [it.answer, it.until], it.name);
    await verifier.close(0);
  }
});

test("changes lead to the views of the vectors", async () => {
  const all = cases("changes.json");
  const url = await authority(all);
  for (const [number, it] of all.entries()) {
    const verifier = connect(`${url}/${number}`, "token");
    const began = Date.now();
    while (verifier.health().position !== it.result.position) {
      assert(Date.now() - began < 60_000, it.name);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    for (const probe of it.probes) {
      assert.strictEqual((await answer(verifier, probe.token))[0], probe.answer, it.name);
    }
    await verifier.close(0);
  }
});
