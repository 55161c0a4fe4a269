// The forward pass of a network. A tensor is { shape, data }: [channels, height, width] or [values].

function floats(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

function each(x, change) {
  return { shape: x.shape, data: x.data.map(change) };
}

// The number of places for a kernel in a row of pixels.
function places(length, kernel, { stride, padding }) {
  return Math.floor((length + 2 * padding - kernel) / stride) + 1;
}

const compute = {
  relu: (x) => each(x, (value) => Math.max(value, 0)),
  tanh: (x) => each(x, Math.tanh),
  sigmoid: (x) => each(x, (value) => 1 / (1 + Math.exp(-value))),
  flatten: (x) => ({ shape: [x.data.length], data: x.data }),

  linear(x, { inputs, outputs, weight, bias }) {
    const data = new Float32Array(outputs);
    for (let output = 0; output < outputs; output++) {
      let sum = bias ? bias[output] : 0;
      for (let input = 0; input < inputs; input++) {
        sum += weight[output * inputs + input] * x.data[input];
      }
      data[output] = sum;
    }
    return { shape: [outputs], data };
  },

  conv2d(x, layer) {
    const { outputs, kernel, stride, padding, weight, bias } = layer;
    const [channels, height, width] = x.shape;
    const rows = places(height, kernel[0], layer);
    const columns = places(width, kernel[1], layer);
    const data = new Float32Array(outputs * rows * columns);
    let place = 0;
    for (let output = 0; output < outputs; output++) {
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          let sum = bias ? bias[output] : 0;
          for (let channel = 0; channel < channels; channel++) {
            for (let i = 0; i < kernel[0]; i++) {
              const y = row * stride - padding + i;
              if (y < 0 || y >= height) continue;
              const pixels = (channel * height + y) * width;
              const weights = ((output * channels + channel) * kernel[0] + i) * kernel[1];
              for (let j = 0; j < kernel[1]; j++) {
                const x0 = column * stride - padding + j;
                if (x0 >= 0 && x0 < width) sum += weight[weights + j] * x.data[pixels + x0];
              }
            }
          }
          data[place++] = sum;
        }
      }
    }
    return { shape: [outputs, rows, columns], data };
  },

  maxPool(x, layer) {
    const { kernel, stride, padding } = layer;
    const [channels, height, width] = x.shape;
    const rows = places(height, kernel, layer);
    const columns = places(width, kernel, layer);
    const data = new Float32Array(channels * rows * columns).fill(-Infinity);
    let place = 0;
    for (let channel = 0; channel < channels; channel++) {
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          for (let i = 0; i < kernel; i++) {
            const y = row * stride - padding + i;
            for (let j = 0; j < kernel; j++) {
              const x0 = column * stride - padding + j;
              if (y < 0 || y >= height || x0 < 0 || x0 >= width) continue;
              data[place] = Math.max(data[place], x.data[(channel * height + y) * width + x0]);
            }
          }
          place++;
        }
      }
    }
    return { shape: [channels, rows, columns], data };
  },
};

// Decodes the weights.
function decoded(layers) {
  return layers.map((layer) => ({
    ...layer,
    weight: layer.weight && floats(layer.weight),
    bias: layer.bias && floats(layer.bias),
  }));
}

// Returns the output of every layer.
function forward(layers, input) {
  const outputs = [];
  for (const layer of layers) {
    input = compute[layer.kind](input, layer);
    outputs.push(input);
  }
  return outputs;
}

function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = Array.from(logits, (value) => Math.exp(value - largest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}
