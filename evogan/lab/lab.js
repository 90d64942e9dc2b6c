"use strict";
const $ = id => document.getElementById(id);
const LINES = {
  losses: { real: "#3b7fc4", fake: "#c98a2b", generator: "#c2337f" },
  distances: { w1: "#0b7a5b", js: "#7a55c7", kl: "#c02b3c" },
};
const TITLES = { real: "critic on data", fake: "critic on samples", generator: "generator", w1: "W1", js: "JS", kl: "KL" };
let playing = false, busy = false, now = null;

const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

async function ask(path, given) {
  const how = given === undefined ? {} : {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(given),
  };
  busy = true;
  try {
    const answer = await fetch(path, how);
    now = await answer.json();
    if (now.error) playing = false;
    show();
  } catch (error) {
    playing = false;
    complain("the lab does not answer: it was stopped");
  } finally {
    busy = false;
    $("play").textContent = playing ? "Pause" : "Play";
  }
}

function complain(text) {
  $("error").textContent = text;
  $("error").hidden = !text;
}

function show() {
  complain(now.error);
  $("iteration").textContent = now.iteration.toLocaleString("en");
  $("steps").textContent = Object.entries(now.steps).map(([who, n]) => `${n.toLocaleString("en")} steps of the ${who}`).join(", ");
  if (!$("data").options.length) for (const name of now.sets) $("data").add(new Option(name));
  $("data").value = now.data;
  $("contents").textContent = now.contents;
  $("where").textContent = now.data;
  if (document.activeElement !== $("seed")) $("seed").value = now.seed;
  plane();
  chart("losses");
  chart("distances");
  fields();
}

function plane() {
  const canvas = $("plane"), pen = canvas.getContext("2d"), size = canvas.width, [low, high] = now.frame;
  const x = v => (v - low) / (high - low) * size, y = v => size - x(v);
  pen.clearRect(0, 0, size, size);
  if ($("surface").checked) {
    const flat = now.surface.flat(), sorted = [...flat].sort((a, b) => a - b), middle = sorted[sorted.length >> 1];
    const reach = Math.max(1e-9, ...flat.map(v => Math.abs(v - middle))), n = now.surface.length;
    const small = new OffscreenCanvas(n, n), brush = small.getContext("2d"), cells = brush.createImageData(n, n);
    flat.forEach((v, i) => {
      const share = (v - middle) / reach;
      cells.data.set([...(share > 0 ? [59, 127, 196] : [201, 138, 43]), 190 * Math.abs(share)], 4 * i);
    });
    brush.putImageData(cells, 0, 0);
    pen.drawImage(small, 0, 0, size, size);
  }
  if ($("grid").checked) {
    pen.strokeStyle = color("--muted");
    pen.lineWidth = 1.5;
    const lines = now.latent_grid;
    for (const line of [...lines, ...lines[0].map((_, i) => lines.map(row => row[i]))]) {
      pen.beginPath();
      line.forEach(([a, b], i) => i ? pen.lineTo(x(a), y(b)) : pen.moveTo(x(a), y(b)));
      pen.stroke();
    }
  }
  dots(pen, now.reals, x, y, color("--text"), 3.2);
  if ($("pushes").checked) {
    const lengths = now.pushes.map(([a, b]) => Math.hypot(a, b)).sort((a, b) => a - b);
    const scale = 0.06 * (high - low) / (lengths[Math.floor(0.9 * lengths.length)] || 1);
    pen.strokeStyle = "rgba(194,51,127,.65)";
    pen.lineWidth = 2;
    now.fakes.forEach(([a, b], i) => {
      const [u, v] = now.pushes[i], far = Math.min(1, 0.15 * (high - low) / (scale * Math.hypot(u, v) || 1));
      pen.beginPath();
      pen.moveTo(x(a), y(b));
      pen.lineTo(x(a + u * scale * far), y(b + v * scale * far));
      pen.stroke();
    });
  }
  dots(pen, now.fakes, x, y, "#c2337f", 4.2);
}

function dots(pen, points, x, y, fill, radius) {
  pen.fillStyle = fill;
  for (const [a, b] of points) {
    pen.beginPath();
    pen.arc(x(a), y(b), radius, 0, 7);
    pen.fill();
  }
}

function chart(name) {
  const canvas = $(name), pen = canvas.getContext("2d"), { width, height } = canvas, points = now.curve.slice(-600);
  const values = points.flatMap(p => Object.keys(LINES[name]).map(k => p[k]).filter(Number.isFinite));
  pen.clearRect(0, 0, width, height);
  let low = Math.min(0, ...values), high = Math.max(...values, low + 1e-6);
  const legend = $(`${name}-legend`);
  legend.replaceChildren();
  for (const [key, fill] of Object.entries(LINES[name])) {
    const there = points.map((p, i) => [i, p[key]]).filter(([, v]) => Number.isFinite(v));
    if (!there.length) continue;
    pen.strokeStyle = fill;
    pen.lineWidth = 3;
    pen.beginPath();
    there.forEach(([i, v], k) => {
      const at = [8 + i / Math.max(1, points.length - 1) * (width - 16), height - 10 - (v - low) / (high - low) * (height - 20)];
      k ? pen.lineTo(...at) : pen.moveTo(...at);
    });
    pen.stroke();
    const said = document.createElement("span"), dot = document.createElement("i");
    dot.style.background = fill;
    said.append(dot, `${TITLES[key]} ${there[there.length - 1][1].toPrecision(3)}`);
    legend.append(said);
  }
  const last = points[points.length - 1];
  if (name === "distances" && last && Number.isFinite(last.modes)) {
    legend.append(`${last.modes} modes, ${(100 * last.high_quality).toFixed(0)} % of samples near one`);
  }
}

function fields() {
  const place = $("genes");
  if (place.contains(document.activeElement)) return;
  place.replaceChildren(...now.genes.map(gene => {
    const label = document.createElement("label"), what = document.createElement(gene.kind === "choice" ? "select" : "input");
    label.title = gene.meaning;
    label.classList.toggle("idle", !gene.applies);
    label.append(gene.name.replaceAll("_", " "), what);
    what.id = `gene-${gene.name}`;
    if (gene.kind === "choice") {
      gene.values.forEach(value => what.append(new Option(value, JSON.stringify(value))));
      what.value = JSON.stringify(gene.value);
    } else {
      what.type = "number";
      what.step = gene.kind === "int" ? 1 : "any";
      what.value = gene.value;
    }
    what.disabled = !gene.applies;
    what.addEventListener("change", async () => {
      const value = gene.kind === "choice" ? JSON.parse(what.value) : Number(what.value);
      what.blur();
      await turn(() => ask("/change", { [gene.name]: value }));
    });
    return label;
  }));
}

async function turn(act) {
  while (busy) await new Promise(done => setTimeout(done, 5));
  await act();
}

async function play() {
  playing = !playing;
  $("play").textContent = playing ? "Pause" : "Play";
  while (playing) {
    await turn(() => ask("/do", { what: "both", times: Number($("speed").value) }));
    await new Promise(requestAnimationFrame);
  }
}

const step = what => () => turn(() => ask("/do", { what, times: 1 }));
const restart = () => {
  const given = { seed: Number($("seed").value), data: $("data").value };
  return turn(() => ask("/restart", given));
};
const KEYS = { " ": play, b: step("both"), c: step("critic"), g: step("generator"), r: restart };

$("play").addEventListener("click", play);
for (const what of ["both", "critic", "generator"]) $(what).addEventListener("click", step(what));
for (const id of ["restart"]) $(id).addEventListener("click", restart);
for (const id of ["data", "seed"]) $(id).addEventListener("change", restart);
for (const id of ["surface", "pushes", "grid"]) $(id).addEventListener("change", plane);
document.addEventListener("keydown", event => {
  if (event.target.matches("input, select, button") && event.key === " ") return;
  if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key]();
  }
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => now && show());
ask("/state");
