// Keeps the board current: the server says "figures" when something changed, the page fetches its own changing part
// and takes over what differs. Nodes stay where they are, so a button does not vanish under the finger.
"use strict";

const board = document.getElementById("board");
const { part = "/?part=board", stream: address = "/events" } = board.dataset;
let skew = 0; // this clock minus the server's, milliseconds
let fetching = false, again = false;

function take(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  const opened = (name) => name === "open" && old.nodeName === "DETAILS"; // by whoever is looking
  for (const { name } of [...old.attributes])
    if (!fresh.hasAttribute(name) && !opened(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes)
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  takeChildren(old, fresh);
}

function takeChildren(old, fresh) {
  const theirs = [...fresh.childNodes];
  theirs.forEach((node, i) => {
    let mine = old.childNodes[i];
    if (node.id && mine && mine.id !== node.id) {
      // The same thing, moved (agents are sorted by state): bring it here and go on with it.
      const known = [...old.children].find((child) => child.id === node.id);
      if (known) old.insertBefore(known, mine), (mine = known);
    }
    if (mine) take(mine, node);
    else old.append(node);
  });
  while (old.childNodes.length > theirs.length) old.lastChild.remove();
}

function elapsed(seconds) {
  const s = Math.max(0, Math.floor(seconds)), two = (n) => String(n).padStart(2, "0");
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}:${two(s % 60)}`;
  if (s < 86400) return `${Math.floor(s / 3600)}h ${two(Math.floor((s % 3600) / 60))}m`;
  return `${Math.floor(s / 86400)}d ${Math.floor((s % 86400) / 3600)}h`;
}

function tick() {
  const now = Date.now() - skew;
  for (const time of board.querySelectorAll("time[data-since]")) {
    const since = Date.parse(time.dataset.since);
    if (!Number.isNaN(since)) time.textContent = elapsed((now - since) / 1000);
  }
}

function readClock() {
  const at = Date.parse(document.getElementById("at").dateTime);
  if (!Number.isNaN(at)) skew = Date.now() - at;
}

async function refresh() {
  if (fetching) {
    again = true;
    return;
  }
  fetching = true;
  try {
    const reply = await fetch(part, { headers: { accept: "text/html" } });
    if (reply.redirected || reply.status === 401) return location.reload(); // the session has ended
    if (reply.ok) {
      const fresh = new DOMParser().parseFromString(await reply.text(), "text/html").body;
      takeChildren(board, fresh);
      readClock();
      tick();
    }
  } catch { /* the stream's own error handling tells the reader */ }
  fetching = false;
  if (again) {
    again = false;
    setTimeout(refresh, 500);
  }
}

function lost(yes) {
  document.body.classList.toggle("lost", yes);
}

let retry = 1000;
function listen() {
  const stream = new EventSource(address);
  stream.addEventListener("open", () => { retry = 1000; lost(false); });
  stream.addEventListener("figures", refresh);
  const restart = () => {
    stream.close();
    setTimeout(listen, retry * (0.5 + Math.random()));
    retry = Math.min(retry * 2, 15000);
  };
  stream.addEventListener("lagged", restart);
  stream.addEventListener("error", () => {
    lost(true);
    restart();
    refresh(); // finds out whether the session has ended
  });
}

readClock();
setInterval(tick, 1000);
listen();
