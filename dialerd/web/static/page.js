// What the live pages share: taking over what differs from a fresh copy. Nodes stay where they are, so a button does not
// vanish under the finger, and what somebody types stays.
"use strict";

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
