/* What a page gains with scripts: a chart, a button that copies, times that keep counting, numbers that stay fresh.
   Nothing here is needed to read the page. Dates are shown in UTC, as everywhere in the product. */
"use strict";

const HISTORY = "/api/v2/deployment/stats/history";
const SOONEST_MS = 10_000; // between two refreshes, however short the snapshot interval
const UNITS = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];

// ── Times: the same words as units.distance() ───────────────────────────────────────────────────────────────────────
function distance(at, now) {
  const gap = Math.abs(now - at) / 1_000;
  if (gap < 1) return "just now";
  const [size, unit] = UNITS.find(([seconds]) => gap >= seconds);
  const words = `${Math.floor(gap / size)} ${unit}`;
  return at > now ? `in ${words}` : `${words} ago`;
}

function keepCounting() {
  const now = Date.now();
  for (const time of document.querySelectorAll("time[datetime]")) {
    const ago = time.querySelector(".ago");
    const words = distance(Date.parse(time.dateTime), now);
    if (ago && ago.textContent !== words) ago.textContent = words;
  }
}

// ── Copying ─────────────────────────────────────────────────────────────────────────────────────────────────────────
async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  const label = button.querySelector(".copy-label");
  try {
    await navigator.clipboard.writeText(source.textContent);
    label.textContent = "Copied";
  } catch {
    // Plain http has no clipboard: with the text selected, one key press copies it.
    getSelection().selectAllChildren(source);
    label.textContent = "Selected";
  }
  document.getElementById("spoken").textContent = label.textContent;
  setTimeout(() => { label.textContent = "Copy"; }, 2_000);
}

function showCopyButtons() {
  for (const button of document.querySelectorAll(".copy")) button.hidden = false;
}

// ── The chart ───────────────────────────────────────────────────────────────────────────────────────────────────────
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const two = (number) => String(number).padStart(2, "0");
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function tick(seconds) {
  const at = new Date(seconds * 1_000);
  const clock = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
  return clock === "00:00" ? `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}` : clock;
}

function moment(seconds) {
  const at = new Date(seconds * 1_000);
  return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]} ${two(at.getUTCHours())}:${two(at.getUTCMinutes())} UTC`;
}

const newest = (values) => values.findLast((value) => value !== null);
const shown = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en").replaceAll(",", "\u202f"));

function line(label, color) {
  return {
    label, stroke: token(color), width: 2, points: { show: false },
    value: (plot, value, series, index) => shown(index === null ? newest(plot.data[series]) : value),
  };
}

function axis(more) {
  return {
    stroke: token("--muted"), font: `12px ${token("--sans")}`, ticks: { show: false },
    grid: { stroke: token("--line"), width: 1 }, ...more,
  };
}

function draw(box, data) {
  return new uPlot({
    width: box.clientWidth, height: 280, ms: 1e-3,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1_000), "Etc/UTC"),
    padding: [12, 20, 0, 0],
    legend: { mount: (_plot, legend) => box.prepend(legend) },
    cursor: { y: false, drag: { x: false } },
    scales: { y: { range: (_plot, _low, high) => [0, Math.max(4, Math.ceil((high ?? 0) * 1.1))] } },
    axes: [
      axis({ values: (_plot, splits) => splits.map(tick), space: 64, size: 30, gap: 8, grid: { show: false } }),
      axis({ size: 44, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6] }),
    ],
    series: [
      { label: "At", value: (_plot, value) => (value === null || value === undefined ? "latest" : moment(value)) },
      { ...line("Running", "--running"), fill: `${token("--running")}1f` },
      line("Sessions", "--sessions"),
    ],
  }, data, box);
}

// Each point of the answer stands for one step; a step without a snapshot has stats null and leaves a gap.
const running = (stats) => stats?.workspaces.running ?? null;
const sessions = (stats) => (stats ? Object.values(stats.session_count).reduce((sum, count) => sum + count, 0) : null);

async function load(box) {
  const until = Date.now(), since = until - box.dataset.span * 1_000;
  const query = new URLSearchParams({ from: new Date(since).toISOString(), to: new Date(until).toISOString(), step: `${box.dataset.step}s` });
  const answer = await fetch(`${HISTORY}?${query}`);
  if (!answer.ok) throw new Error(`history: ${answer.status}`);
  const { points } = await answer.json();
  box.toggleAttribute("data-empty", points.every((point) => point.stats === null));
  return [
    points.map((point) => Date.parse(point.at) / 1_000),
    points.map((point) => running(point.stats)),
    points.map((point) => sessions(point.stats)),
  ];
}

async function startChart(box) {
  let plot = draw(box, await load(box));
  new ResizeObserver(() => plot.setSize({ width: box.clientWidth, height: 280 })).observe(box);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    const { data } = plot;
    plot.destroy();
    box.replaceChildren();
    plot = draw(box, data);
  });
  return async () => plot.setData(await load(box));
}

// ── Fresh numbers: the same page, of which the live parts replace the old ones ──────────────────────────────────────
function fetchPage() {
  // An XMLHttpRequest parses a document itself: no string becomes markup, so Trusted Types have nothing to refuse.
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.responseType = "document";
    request.onload = () => (request.status === 200 && request.response ? resolve(request.response) : reject(new Error(request.status)));
    request.onerror = reject;
    request.open("GET", location.pathname + location.search);
    request.send();
  });
}

function inUse(part) {
  const selection = getSelection();
  return part.contains(document.activeElement) || (!selection.isCollapsed && part.contains(selection.anchorNode));
}

async function refresh(redraw) {
  const fresh = await fetchPage();
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    if (!next) return location.reload(); // signed out meanwhile
    if (!inUse(part)) part.replaceWith(document.adoptNode(next));
  }
  showCopyButtons();
  await redraw();
}

async function keepFresh(redraw) {
  for (;;) {
    const next = Date.parse(document.getElementById("now").dataset.next ?? "") || 0;
    await new Promise((wake) => setTimeout(wake, Math.max(SOONEST_MS, next + 1_000 - Date.now())));
    // A tab that nobody looks at asks for nothing; a failed refresh keeps what is shown, whose age is on the page.
    if (!document.hidden) await refresh(redraw).catch(() => {});
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.(".copy");
  if (button) copy(button);
});
showCopyButtons();
setInterval(keepCounting, 1_000);
const chart = document.getElementById("chart");
if (chart) {
  document.querySelector("details.values").open = false;
  startChart(chart)
    .catch(() => {
      chart.hidden = true; // the table has the values
      document.querySelector("details.values").open = true;
      return () => {};
    })
    .then(keepFresh);
}
