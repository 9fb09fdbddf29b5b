// Keeps the board current: the server says "figures" when something changed, the page fetches its own changing part
// and takes over what differs (page.js).
"use strict";

const board = document.getElementById("board");
const { part = "/?part=board", stream: address = "/events" } = board.dataset;
let skew = 0; // this clock minus the server's, milliseconds
let fetching = false, again = false;

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
