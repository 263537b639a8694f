// Comfort only: every page works without this file.
"use strict";

// Buttons that need a script are hidden until it runs.
for (const it of document.querySelectorAll("[data-script]")) it.hidden = false;

// Copies the text of the element whose id `data-copy` names.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const text = document.getElementById(button.dataset.copy).textContent.trim();
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = button.dataset.done;
  } catch {
    getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
  }
});

// Follows a receipt until it is complete.
const receipt = document.querySelector("[data-follow]");
if (receipt) {
  const events = new EventSource(receipt.dataset.follow);
  events.addEventListener("receipt", (event) => {
    const { complete, html } = JSON.parse(event.data);
    // The server renders it, as it renders the page. The same once more is not announced.
    const next = document.createElement("template");
    next.innerHTML = html;
    if (next.innerHTML !== receipt.innerHTML) receipt.replaceChildren(next.content);
    if (complete) events.close();
  });
}

// An invitation is behind `#` in its link, which browsers do not send: no log has it.
for (const form of document.querySelectorAll("[data-fragment]")) {
  const field = form.elements[form.dataset.fragment];
  const given = decodeURIComponent(location.hash.slice(1));
  if (!given || field.value) continue;
  history.replaceState(null, "", location.pathname);
  field.value = given;
  form.requestSubmit();
}

// Generates a key pair; the private key is downloaded and never sent.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-generate]");
  if (!button) return;
  const status = document.getElementById("generated");
  try {
    const algorithm = {
      name: "RSASSA-PKCS1-v1_5",
      modulusLength: 2048,
      publicExponent: new Uint8Array([1, 0, 1]),
      hash: "SHA-256",
    };
    const pair = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const whole = await crypto.subtle.exportKey("jwk", pair.privateKey);
    const { kty, n, e } = await crypto.subtle.exportKey("jwk", pair.publicKey);
    const file = new Blob([JSON.stringify({ ...whole, key_ops: undefined, ext: undefined, use: "sig" }, null, 2)]);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = button.dataset.file;
    link.click();
    URL.revokeObjectURL(link.href);
    const form = document.getElementById(button.dataset.generate);
    form.elements.key.value = JSON.stringify({ kty, alg: "RS256", use: "sig", n, e });
    status.textContent = status.dataset.text;
  } catch {
    status.textContent = status.dataset.failed;
  }
  // It is in front of the button that registers the key, which may be out of view.
  status.focus({ preventScroll: true });
  status.scrollIntoView({ block: "center" });
});

// Estimates a password while it is typed; the server decides. Pairs of characters count once,
// so that repetitions and the person's own name add nothing.
for (const line of document.querySelectorAll("[data-strength]")) {
  const field = document.getElementById(line.dataset.strength);
  const words = line.dataset.words.split("|");
  const [meter, word] = [line.querySelector("meter"), line.querySelector("span")];
  field.addEventListener("input", () => {
    const login = field.form.querySelector("[autocomplete=username]").value.toLowerCase();
    const text = login ? field.value.toLowerCase().replaceAll(login, "") : field.value.toLowerCase();
    const step = (at) => text.charCodeAt(at + 1) - text.charCodeAt(at);
    const pairs = new Set();
    for (let at = 0; at + 1 < text.length; at++) {
      if (Math.abs(step(at)) > 1) pairs.add(text.slice(at, at + 2));
    }
    const score = field.value.length < 12 ? 0 : [8, 11, 14, 18].filter((it) => pairs.size >= it).length;
    line.hidden = !field.value;
    meter.value = score;
    if (word.textContent !== words[score]) word.textContent = words[score];
  });
}
