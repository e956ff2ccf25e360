/* The page for setting up: it keeps saying what has arrived, and sends a report to show that one does. Loaded after page.js. */
"use strict";

const FRESH_MS = 3_000;
const LOOK_MS = 250, LOOKS = 80; // twenty seconds for a report to be seen
const BLOCKED = "https://report-test.invalid"; // a host that nobody can have
const VIOLATIONS = "/api/v2/csp/violations";

async function tested(project) {
  const query = new URLSearchParams({ project, origin: BLOCKED, noise: "include", limit: 1 });
  const answer = await fetch(`${VIOLATIONS}?${query}`);
  if (!answer.ok) throw new Error(`The violations cannot be read (${answer.status}).`);
  return (await answer.json()).results[0];
}

function testReport(document) {
  return JSON.stringify({
    "csp-report": {
      "document-uri": document,
      "blocked-uri": `${BLOCKED}/picture.png`,
      "effective-directive": "img-src",
      "violated-directive": "img-src",
      "original-policy": "img-src 'self'",
      disposition: "report",
    },
  });
}

async function arrived(project, before) {
  for (let look = 0; look < LOOKS; look += 1) {
    const found = await tested(project);
    if (found && found.count > before) return found;
    await new Promise((wake) => setTimeout(wake, LOOK_MS));
  }
  throw new Error("It was taken, but has not shown up among the violations.");
}

async function trial(button) {
  const { project, key, document: from, says } = button.dataset;
  const said = document.getElementById(says);
  button.disabled = true;
  said.textContent = "Sending…";
  try {
    const before = (await tested(project))?.count ?? 0;
    const begun = performance.now();
    const answer = await fetch(`/csp/reports?key=${key}`, {
      method: "POST", headers: { "Content-Type": "application/csp-report" }, credentials: "omit", body: testReport(from),
    });
    if (!answer.ok) throw new Error(`The report was refused (${answer.status}).`);
    const found = await arrived(project, before);
    const link = document.createElement("a");
    link.href = `/csp/violations/${found.id}`;
    link.textContent = "See it";
    said.replaceChildren(`Arrived and stored within ${Math.round(performance.now() - begun)} ms. `, link);
  } catch (problem) {
    said.textContent = problem.message;
  }
  button.disabled = false;
}

// The other intakes let an owner in by the cookie, so no key stands in the page. What arrived is read from a fresh page.
async function sent(button) {
  const { kind, path, body } = button.dataset;
  const said = document.getElementById(`said-${kind}`);
  const stored = () => Number(document.getElementById(`tried-${kind}`).dataset.at ?? 0);
  button.disabled = true;
  said.textContent = "Sending…";
  try {
    const before = stored(), begun = performance.now();
    const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body });
    const took = Math.round(performance.now() - begun);
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(`It was refused (${answer.status}). ${told.message ?? ""}`);
    if (told.rejected?.length) throw new Error(`It was rejected: ${told.rejected[0].error}.`);
    await refresh(async () => {});
    if (stored() <= before) throw new Error("It was taken, but has not shown up here.");
    said.textContent = `Arrived and stored within ${took} ms.`;
  } catch (problem) {
    said.textContent = problem.message;
  }
  button.disabled = false;
}

async function keepArrivalsFresh() {
  for (;;) {
    await new Promise((wake) => setTimeout(wake, FRESH_MS));
    if (!document.hidden) await refresh(async () => {}).catch(() => {});
  }
}

for (const button of document.querySelectorAll(".try, .send")) button.hidden = false;
document.addEventListener("click", (event) => {
  const button = event.target.closest?.(".try");
  if (button) trial(button);
  const sender = event.target.closest?.(".send");
  if (sender) sent(sender);
});
keepArrivalsFresh();
