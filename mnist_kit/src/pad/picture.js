// A drawing in the form of MNIST's digits, with the steps and the rounding of the kit's module
// `infer`. An image is { width, height, data } with levels of 0 to 255, light on black.

function digitPicture(drawing, { size, digitSize, ground, minContrast }) {
  if (largest(drawing.data) < minContrast) return null;
  const ink = stretched(drawing);
  const [left, top, right, bottom] = bounds(ink, ground);
  const [width, height] = [right - left + 1, bottom - top + 1];
  const factor = digitSize / Math.max(width, height);
  const scaled = (length) => Math.max(1, Math.round(length * factor));
  const cropped = crop(ink, left, top, width, height);
  const digit = stretched(resized(cropped, scaled(width), scaled(height)));
  const [x, y] = centerOfMass(digit);
  return placed(digit, Math.round(size / 2 - x), Math.round(size / 2 - y), size);
}

function largest(data) {
  return data.reduce((a, b) => Math.max(a, b), 0);
}

// Stretches the levels to 0–255.
function stretched(image) {
  const most = Math.max(1, largest(image.data));
  return { ...image, data: image.data.map((level) => Math.floor((level * 255) / most)) };
}

function bounds({ width, height, data }, ground) {
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (data[y * width + x] <= ground) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
    }
  }
  return [left, top, right, bottom];
}

function crop(image, left, top, width, height) {
  const data = new Float64Array(width * height);
  for (let y = 0; y < height; y++) {
    const start = (top + y) * image.width + left;
    data.set(image.data.subarray(start, start + width), y * width);
  }
  return { width, height, data };
}

// Scales with a triangle filter that grows with the reduction, so that thin lines do not vanish.
function resized(image, width, height) {
  const rows = new Float64Array(image.width * height);
  windows(image.height, height).forEach(({ first, weights }, y) => {
    weights.forEach((weight, i) => {
      for (let x = 0; x < image.width; x++) {
        rows[y * image.width + x] += weight * image.data[(first + i) * image.width + x];
      }
    });
  });
  const data = new Uint8Array(width * height);
  windows(image.width, width).forEach(({ first, weights }, x) => {
    for (let y = 0; y < height; y++) {
      let sum = 0;
      weights.forEach((weight, i) => (sum += weight * rows[y * image.width + first + i]));
      data[y * width + x] = Math.min(255, Math.max(0, Math.round(sum)));
    }
  });
  return { width, height, data };
}

// The pixels that each new pixel is a mean of, with their weights.
function windows(from, to) {
  const ratio = from / to;
  const support = Math.max(1, ratio);
  return Array.from({ length: to }, (_, index) => {
    const middle = (index + 0.5) * ratio;
    const first = Math.min(from - 1, Math.max(0, Math.floor(middle - support)));
    const end = Math.min(from, Math.max(first + 1, Math.ceil(middle + support)));
    const weights = [];
    for (let i = first; i < end; i++) {
      weights.push(Math.max(0, 1 - Math.abs((i + 0.5 - middle) / support)));
    }
    const sum = weights.reduce((a, b) => a + b);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

// The center of mass in pixels from the upper left corner; a pixel's center is at 0.5.
function centerOfMass({ width, height, data }) {
  let [sumX, sumY, mass] = [0, 0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const level = data[y * width + x];
      sumX += level * (x + 0.5);
      sumY += level * (y + 0.5);
      mass += level;
    }
  }
  return [sumX / mass, sumY / mass];
}

// Puts an image with its upper left corner at (left, top) of a black square.
function placed(image, left, top, size) {
  const data = new Uint8Array(size * size);
  for (let y = 0; y < image.height; y++) {
    for (let x = 0; x < image.width; x++) {
      const [column, row] = [left + x, top + y];
      if (column < 0 || column >= size || row < 0 || row >= size) continue;
      data[row * size + column] = image.data[y * image.width + x];
    }
  }
  return data;
}
