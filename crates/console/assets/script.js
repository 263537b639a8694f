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

// Follows a receipt until every verifier has acknowledged it.
const receipt = document.querySelector("[data-follow]");
if (receipt) {
  const events = new EventSource(receipt.dataset.follow);
  events.addEventListener("receipt", (event) => {
    const { complete, html } = JSON.parse(event.data);
    // The server renders it, as it renders the page.
    receipt.innerHTML = html;
    if (complete) events.close();
  });
}
