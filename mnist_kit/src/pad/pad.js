// The pad in the page: drawing, the picture that the model receives, bars and feature maps.

const STYLE = `
.mnist-kit-pad { color: inherit; font-size: 14px; line-height: 1.3; max-width: 900px; }
.mnist-kit-pad .row { display: flex; flex-wrap: wrap; gap: 24px; align-items: flex-start; }
.mnist-kit-pad .title { font-weight: bold; margin-bottom: 6px; }
.mnist-kit-pad canvas { background: black; display: block; box-shadow: 0 0 0 1px #8888; }
.mnist-kit-pad .drawing { cursor: crosshair; touch-action: none; max-width: 100%; }
.mnist-kit-pad .pixels { image-rendering: pixelated; }
.mnist-kit-pad button { font: inherit; margin-top: 8px; padding: 4px 14px; cursor: pointer; }
.mnist-kit-pad .bars { display: grid; grid-template-columns: auto 180px 5em; gap: 4px 8px;
  align-items: center; font-variant-numeric: tabular-nums; }
.mnist-kit-pad .name, .mnist-kit-pad .percent { text-align: right; white-space: nowrap; }
.mnist-kit-pad .best { font-weight: bold; }
.mnist-kit-pad .bar { background: rgba(128, 128, 128, 0.25); height: 14px; }
.mnist-kit-pad .bar div { height: 100%; width: 0; }
.mnist-kit-pad .maps { display: flex; flex-wrap: wrap; gap: 6px; }
.mnist-kit-pad .row + div { margin-top: 20px; }
.mnist-kit-pad .scale { margin-top: 6px; }
.mnist-kit-pad .answer { margin-top: 8px; min-height: 1.3em; }
`;

function element(parent, tag, className, text) {
  const child = document.createElement(tag);
  child.className = className || "";
  if (text !== undefined) child.textContent = text;
  parent.appendChild(child);
  return child;
}

// A titled column of the pad.
function panel(parent, title) {
  const column = element(parent, "div");
  element(column, "div", "title", title);
  return column;
}

function canvasIn(parent, className, pixels, shown, label) {
  const canvas = element(parent, "canvas", className);
  [canvas.width, canvas.height] = [pixels, pixels];
  [canvas.style.width, canvas.style.height] = [`${shown}px`, `${shown}px`];
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  return canvas;
}

// Draws values as gray pixels, from black to white.
function paint(canvas, data, width, low, high) {
  canvas.width = width;
  canvas.height = data.length / width;
  const context = canvas.getContext("2d");
  const picture = context.createImageData(canvas.width, canvas.height);
  const factor = high > low ? 255 / (high - low) : 0;
  data.forEach((value, i) => {
    picture.data.fill(Math.round((value - low) * factor), 4 * i, 4 * i + 3);
    picture.data[4 * i + 3] = 255;
  });
  context.putImageData(picture, 0, 0);
}

// One pad in `root`, which had the still picture.
function pad(root, settings, layers, levels) {
  root.textContent = "";
  element(root, "style", "", STYLE);
  const row = element(root, "div", "row");

  const left = panel(row, "Draw a digit");
  const help = "Drawing area: draw a digit with the mouse, a pen or a finger";
  const drawing = canvasIn(left, "drawing", settings.padSize, settings.padSize, help);
  drawing.style.height = "auto";
  const context = drawing.getContext("2d", { willReadFrequently: true });
  const clear = element(left, "button", "", "Clear");
  clear.type = "button";

  const middle = panel(row, "What the model sees");
  const seen = canvasIn(middle, "pixels", settings.size, 140, "The picture that the model receives");
  const answer = element(middle, "div", "answer");
  answer.setAttribute("aria-live", "polite");

  const bars = element(panel(row, "Probability of each class"), "div", "bars");
  const rows = settings.classes.map((name) => {
    const parts = { name: element(bars, "div", "name", name) };
    parts.bar = element(element(bars, "div", "bar"), "div");
    parts.bar.style.background = settings.color;
    parts.percent = element(bars, "div", "percent");
    return parts;
  });

  const withMaps = settings.maps !== null;
  const below = withMaps && panel(root, "Feature maps of the first convolution");
  const maps = withMaps && element(below, "div", "maps");
  const scale = withMaps && element(below, "div", "scale");

  function update() {
    const { data } = context.getImageData(0, 0, drawing.width, drawing.height);
    const reds = new Uint8Array(drawing.width * drawing.height).map((_, i) => data[4 * i]);
    const image = { width: drawing.width, height: drawing.height, data: reds };
    const pixels = digitPicture(image, settings);
    const shown = pixels || new Uint8Array(settings.size ** 2);
    const input = Float32Array.from(shown, (level) => levels[level]);
    const outputs = forward(layers, { shape: settings.input, data: input });
    const logits = pixels && outputs[outputs.length - 1].data;
    const fractions = logits && softmax(logits);
    paint(seen, shown, settings.size, 0, 255);
    rows.forEach((parts, i) => {
      const fraction = fractions ? fractions[i] : 0;
      const best = fractions && fraction === Math.max(...fractions);
      parts.bar.style.width = `${100 * fraction}%`;
      parts.percent.textContent = fractions ? `${(100 * fraction).toFixed(1)} %` : "–";
      for (const part of [parts.name, parts.percent]) part.classList.toggle("best", best);
    });
    if (withMaps) showMaps(outputs[settings.maps]);
    root.digitPad = { pixels, logits };
    return fractions;
  }

  function showMaps({ shape: [channels, height, width], data }) {
    const low = data.reduce((a, b) => Math.min(a, b));
    const high = data.reduce((a, b) => Math.max(a, b));
    while (maps.children.length < channels) {
      canvasIn(maps, "pixels", width, 64, `Feature map ${maps.children.length}`);
    }
    for (let channel = 0; channel < channels; channel++) {
      const part = data.subarray(channel * height * width, (channel + 1) * height * width);
      paint(maps.children[channel], part, width, low, high);
    }
    scale.textContent = `black: ${low.toFixed(2)}, white: ${high.toFixed(2)}`;
  }

  // Reads the answer aloud once a stroke is finished, not during it.
  function finish() {
    const fractions = update();
    const best = fractions ? fractions.indexOf(Math.max(...fractions)) : -1;
    answer.textContent = fractions ? `Prediction: ${settings.classes[best]}` : "";
  }

  let stroke = null;
  let waiting = false;
  function at(event) {
    const { left, top, width, height } = drawing.getBoundingClientRect();
    return [
      ((event.clientX - left) * drawing.width) / width,
      ((event.clientY - top) * drawing.height) / height,
    ];
  }
  function lineTo(point) {
    context.beginPath();
    context.moveTo(...stroke);
    context.lineTo(...point);
    context.stroke();
    stroke = point;
  }
  function move(event) {
    if (stroke === null) return;
    const events = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const each of events.length ? events : [event]) lineTo(at(each));
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      update();
    });
  }
  function end() {
    if (stroke === null) return;
    stroke = null;
    finish();
  }
  drawing.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    drawing.setPointerCapture(event.pointerId);
    stroke = at(event);
    // Browsers do not draw a line without a length.
    context.beginPath();
    context.arc(...stroke, settings.pen / 2, 0, 2 * Math.PI);
    context.fill();
  });
  drawing.addEventListener("pointermove", move);
  drawing.addEventListener("pointerup", end);
  drawing.addEventListener("pointercancel", end);

  function reset() {
    context.fillStyle = "black";
    context.fillRect(0, 0, drawing.width, drawing.height);
    [context.fillStyle, context.strokeStyle] = ["white", "white"];
    context.lineWidth = settings.pen;
    context.lineCap = "round";
    context.lineJoin = "round";
    finish();
  }
  clear.addEventListener("click", reset);
  reset();
}

// Replaces the still pictures of this output; an output can be on the page more than once.
function start(settings) {
  const layers = decoded(settings.layers);
  const levels = floats(settings.levels);
  for (const root of document.querySelectorAll(`[data-pad="${settings.id}"]`)) {
    if (!root.digitPad) pad(root, settings, layers, levels);
  }
}
