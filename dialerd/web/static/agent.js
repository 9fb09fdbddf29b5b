// The agent's page: takes over what the server sends with each change, sends buttons without leaving the page, knows
// the keys, and counts seconds. Everything works without it, too, by forms and a reload.
"use strict";

const desk = document.getElementById("desk"), said = document.getElementById("said");
let skew = 0; // this clock minus the server's, milliseconds

function readClock(at) {
  const there = Date.parse(at);
  if (!Number.isNaN(there)) skew = Date.now() - there;
}

function tick() {
  const now = Date.now() - skew;
  for (const time of desk.querySelectorAll("time[data-since]"))
    time.textContent = elapsed((now - Date.parse(time.dataset.since)) / 1000);
  for (const time of desk.querySelectorAll("time[data-until]"))
    time.textContent = elapsed((Date.parse(time.dataset.until) - now) / 1000);
}

function show(view) {
  const fresh = new DOMParser().parseFromString(view.html, "text/html").body;
  takeChildren(desk, fresh);
  readClock(view.at);
  document.title = `${desk.querySelector("h1").textContent} · dialerd`;
  tick();
}

function tell(text) {
  said.textContent = text;
  if (text) setTimeout(() => { if (said.textContent === text) said.textContent = ""; }, 8000);
}

async function send(form, button) {
  const body = new URLSearchParams(new FormData(form));
  if (button && button.name) body.set(button.name, button.value);
  const address = (button && button.getAttribute("formaction")) || form.getAttribute("action");
  try {
    const reply = await fetch(address, { method: "POST", body, headers: { accept: "application/json" } });
    if (reply.status === 401) return location.assign("/agent/login");
    const answer = await reply.json();
    tell(reply.ok ? "" : answer.error.message);
    if (reply.ok) for (const field of form.querySelectorAll("#digits, #to")) field.value = "";
  } catch {
    tell("No answer from dialerd. Your call goes on.");
  }
}

desk.addEventListener("submit", (event) => {
  event.preventDefault();
  send(event.target, event.submitter);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  if (event.target.closest("input, textarea, select")) return;
  const button = desk.querySelector(`button[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (!button) return;
  event.preventDefault();
  send(button.form, button);
});

let retry = 500;
function listen() {
  const stream = new EventSource("/agent/events?as=page");
  stream.addEventListener("open", () => { retry = 500; document.body.classList.remove("lost"); });
  stream.addEventListener("view", (event) => show(JSON.parse(event.data)));
  const restart = async () => {
    stream.close();
    document.body.classList.add("lost");
    setTimeout(listen, retry * (0.5 + Math.random()));
    retry = Math.min(retry * 2, 10000);
    try {
      if ((await fetch("/agent/view")).status === 401) location.assign("/agent/login");
    } catch { /* the page says that the connection is lost */ }
  };
  stream.addEventListener("lagged", restart);
  stream.addEventListener("error", restart);
}

readClock(document.getElementById("at").dateTime);
tick();
setInterval(tick, 1000);
listen();
