/**
 * The page: asks for the key, listens to the nodes with it, and shows once a second what they have said. The key stays in
 * this tab's session storage, so that a reload does not ask again; it is forgotten with the tab, on demand, or when the
 * server does not take it.
 */
import { Charts } from "./charts.js";
import { Cluster } from "./cluster.js";
import { Connection } from "./connection.js";
import { element, showNodes, showSlow, showTopics, showTotals } from "./panels.js";

const KEY = "millrace-api-key";
const TICK_MS = 1_000;

const path = document.querySelector("meta[name=websocket-path]")?.getAttribute("content") ?? "/ws";
const input = /** @type {HTMLInputElement} */ (element("key"));
const cluster = new Cluster();
/** @type {Charts | undefined} */
let charts;
/** @type {Connection | undefined} */
let connection;
let isLive = false;

/** @typedef {"off" | "waiting" | "live"} State */

/**
 * @param {State} state
 * @param {string} text
 */
function say(state, text) {
  const status = element("status");
  status.dataset["state"] = state;
  if (status.textContent !== text) status.textContent = text;
  document.body.dataset["state"] = state;
}

/** @param {string} why it is asked for; empty at first */
function askForKey(why) {
  sessionStorage.removeItem(KEY);
  connection?.end();
  connection = undefined;
  isLive = false;
  cluster.nodes.clear();
  cluster.times.length = 0;
  element("figures").hidden = true;
  element("forget").hidden = true;
  element("door").hidden = false;
  element("refusal").textContent = why;
  say("off", "Not connected");
  input.value = "";
  input.focus();
}

/** @param {string} key */
function watch(key) {
  element("refusal").textContent = "";
  say("waiting", "Connecting …");
  connection = new Connection(path, key, {
    figures(figures) {
      cluster.receive(figures, performance.now());
      // The first ones are shown at once.
      if (cluster.times.length === 0) tick();
    },
    live() {
      sessionStorage.setItem(KEY, key);
      isLive = true;
      element("door").hidden = true;
      element("figures").hidden = false;
      element("forget").hidden = false;
      say("live", "Live");
    },
    waiting(why) {
      isLive = false;
      say("waiting", `${why} Trying again …`);
    },
    refused: askForKey,
  });
}

function tick() {
  const nowMs = performance.now();
  cluster.tick(nowMs, Date.now() / TICK_MS);
  charts ??= new Charts(element("charts"));
  charts.show(cluster, nowMs);
  showTotals(cluster, nowMs);
  showNodes(cluster, nowMs);
  // While nobody says anything, the last tables are of more use than empty ones.
  if (!isLive) return;
  showTopics(cluster, nowMs);
  showSlow(cluster, nowMs);
}

element("login").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = input.value.trim();
  input.value = "";
  if (key !== "") watch(key);
});
element("forget").addEventListener("click", () => askForKey(""));
setInterval(() => {
  if (cluster.times.length > 0) tick();
}, TICK_MS);

const known = sessionStorage.getItem(KEY);
if (known === null) askForKey("");
else watch(known);
