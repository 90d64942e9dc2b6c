// What the server draws anew is put in the place of what was there. Nodes that stay the same stay, with their focus.
"use strict";

const lamp = document.getElementById("link");

function keyOf(node) {
  return node.nodeType === 1 ? node.dataset?.key ?? null : null;
}

function morph(old, fresh) {
  if (old.nodeType !== 1) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.isEqualNode(fresh)) return;
  const kept = ["open", "hidden", "href"].filter((name) => name === "open" ? old.nodeName === "DETAILS" : old.id === "two");
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !kept.includes(name)) old.removeAttribute(name);
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value && !kept.includes(name)) old.setAttribute(name, value);
  }
  children(old, fresh);
}

function children(old, fresh) {
  const known = new Map([...old.children].filter(keyOf).map((child) => [keyOf(child), child]));
  let at = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    const key = keyOf(next);
    const same = key === null ? null : known.get(key);
    if (same && same.nodeName === next.nodeName) {
      if (same === at) at = at.nextSibling;
      else old.insertBefore(same, at);
      morph(same, next);
    } else if (at && key === null && keyOf(at) === null && at.nodeName === next.nodeName) {
      const place = at;
      at = at.nextSibling;
      morph(place, next);
    } else {
      old.insertBefore(next, at);
    }
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function put(id, html) {
  const place = document.getElementById(id);
  if (!place) return;
  const made = document.createElement("template");
  made.innerHTML = html;
  children(place, made.content);
  if (id === "wall") mark();
}

// --- what is new

const wall = document.getElementById("wall");
let stream = null;
let version = Number(wall?.dataset.version ?? 0);
let ended = false;

function say(text, on) {
  lamp.textContent = text;
  lamp.classList.toggle("on", on);
}

async function update(event) {
  const { wall: newest, notice, ...parts } = JSON.parse(event.data);
  if (notice !== undefined) say(notice || "live", !notice);
  for (const [id, html] of Object.entries(parts)) put(id, html);
  if (newest === undefined || newest === version) return;
  version = newest;
  if (!wall) {
    location.reload(); // of a genome that is evaluated now
    return;
  }
  const answer = await fetch(wall.dataset.src);
  if (answer.ok) put("wall", await answer.text());
}

// Only a page that is seen listens: a browser has few connections for all that are open.
function follow() {
  const listens = !ended && !document.hidden;
  if (listens && !stream) {
    stream = new EventSource(lamp.dataset.stream);
    stream.addEventListener("open", () => say("live", true));
    stream.addEventListener("error", () => say("not connected", false));
    stream.addEventListener("update", update);
    stream.addEventListener("end", () => {
      ended = true;
      follow();
      say("ended: evogan watch shows it again", false);
    });
  } else if (!listens && stream) {
    stream.close();
    stream = null;
  }
}

if (lamp?.dataset.stream) {
  follow();
  document.addEventListener("visibilitychange", follow);
  addEventListener("pageshow", follow);
  addEventListener("pagehide", () => {
    stream?.close();
    stream = null;
  });
}

for (const place of document.querySelectorAll("[data-part]")) {
  fetch(place.dataset.part).then(async (answer) => {
    const made = document.createElement("template");
    made.innerHTML = answer.ok ? await answer.text() : "";
    place.replaceChildren(made.content);
  });
}

// --- two of the wall

let marked = [];

function mark() {
  for (const tile of document.querySelectorAll(".tile")) {
    tile.classList.toggle("marked", marked.includes(tile.dataset.number));
  }
  const link = document.getElementById("two");
  if (!link) return;
  link.hidden = marked.length < 2;
  if (marked.length === 2) {
    link.href = `${location.pathname}/beside?a=${marked[0]}&b=${marked[1]}`;
    link.textContent = `#${marked[0]} and #${marked[1]} side by side`;
  }
}

// --- keys

function go(...selectors) {
  selectors.map((selector) => document.querySelector(selector)).find(Boolean)?.click();
}

function step(key) {
  const tiles = [...document.querySelectorAll(".tile, .run")];
  const here = tiles.indexOf(document.activeElement);
  if (!tiles.length) return false;
  if (here < 0) {
    tiles[0].focus();
    return true;
  }
  const across = tiles.filter((tile) => tile.offsetTop === tiles[0].offsetTop).length;
  const next = here + { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[key];
  tiles[next]?.focus();
  return true;
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, pre, .film")) return;
  const tile = document.activeElement?.closest?.(".tile");
  if (event.key.startsWith("Arrow")) {
    const within = tile || document.activeElement?.closest?.(".run");
    if ((within || event.key === "ArrowRight") && step(event.key)) event.preventDefault();
  } else if (event.key === "c" && tile) {
    const number = tile.dataset.number;
    marked = marked.includes(number) ? marked.filter((one) => one !== number) : [...marked.slice(-1), number];
    mark();
    if (marked.length === 2) document.getElementById("two").focus();
  } else if (event.key === "n") go('.tools a[href*="order=newest"]');
  else if (event.key === "b") go('.tools a[href*="order=best"]');
  else if (event.key === ",") go('a[rel="prev"]');
  else if (event.key === ".") go('a[rel="next"]');
  else if (event.key === "u") go('a[rel="up"]', "header nav a");
});

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(text);
    }
  });
}
