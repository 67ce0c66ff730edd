'use strict';
// Spaces, their leaves, and the tensors in which values travel.

const REASON = {
  PROTOCOL_VERSION: 1, NOT_READY: 2, SPEC_MISMATCH: 3, UNKNOWN_AGENT: 4, UNKNOWN_POLICY: 5, VERSION_UNAVAILABLE: 6,
  SHAPE: 7, DATA_TYPE: 8, NOT_FINITE: 9, OUT_OF_BOUNDS: 10, UNSUPPORTED: 19, INTERNAL: 20,
};
const INT8 = 2, INT64 = 5, FLOAT32 = 10;
const TYPES = {
  1: ['bool', Uint8Array], 2: ['int8', Int8Array], 3: ['int16', Int16Array], 4: ['int32', Int32Array],
  5: ['int64', BigInt64Array], 6: ['uint8', Uint8Array], 7: ['uint16', Uint16Array], 8: ['uint32', Uint32Array],
  9: ['uint64', BigUint64Array], 10: ['float32', Float32Array], 11: ['float64', Float64Array],
};

// Something that was asked is wrong: which field, what was expected there, and what came.
class Refused extends Error {
  constructor(reason, field, expected, got) {
    super(`${Object.keys(REASON).find((name) => REASON[name] === reason)}: ${field}: expected ${expected}, got ${got}`);
    Object.assign(this, { reason, field, expected: String(expected), got: String(got) });
  }

  under(prefix) {
    return new Refused(this.reason, `${prefix}.${this.field}`, this.expected, this.got);
  }

  toMessage() {
    const { reason, field, expected, got, message } = this;
    return { reason, field, expected, got, message };
  }
}

const product = (numbers) => numbers.reduce((left, right) => left * right, 1);
const sum = (numbers) => numbers.reduce((left, right) => left + right, 0);

// A tensor's elements, after its type, axes and number of bytes were checked.
function readTensor(tensor, field) {
  const [name, Elements] = TYPES[tensor?.data_type] ?? [];
  if (!name) throw new Refused(REASON.DATA_TYPE, field, 'a known data type', `number ${tensor?.data_type ?? 0}`);
  const shape = tensor.shape.map(Number);
  if (shape.some((axis) => axis < 0)) throw new Refused(REASON.SHAPE, field, 'axes >= 0', `[${shape}]`);
  const bytes = product(shape) * Elements.BYTES_PER_ELEMENT;
  const { data } = tensor;
  if (data.length !== bytes) throw new Refused(REASON.SHAPE, field, `${bytes} bytes`, `${data.length} bytes`);
  const aligned = data.buffer.slice(data.byteOffset, data.byteOffset + bytes);
  return { name, shape, values: new Elements(aligned) };
}

function expectShape(got, expected, field) {
  if (String(got) !== String(expected)) throw new Refused(REASON.SHAPE, field, `[${expected}]`, `[${got}]`);
}

// A space's leaves: {type, shape, low, high, choices}. Bounds are one number for all elements, or one for each.
function leaves(space, field) {
  const malformed = (got) => new Refused(REASON.SPEC_MISMATCH, field, 'a well-formed space', got);
  const kind = space?.kind;
  switch (kind) {
    case 'box': return [box(space.box, field)];
    case 'discrete': {
      const n = Number(space.discrete.n), start = BigInt(space.discrete.start);
      if (n < 1) throw malformed(`${n} choices`);
      return [{ type: INT64, shape: [], low: [start], high: [start + BigInt(n - 1)], choices: [n] }];
    }
    case 'multi_discrete': {
      const choices = space.multi_discrete.nvec.map(Number);
      if (!choices.length || choices.some((n) => n < 1)) throw malformed(`choices [${choices}]`);
      return [{ type: INT64, shape: [choices.length], low: [0n], high: choices.map((n) => BigInt(n - 1)), choices }];
    }
    case 'multi_binary': {
      const shape = space.multi_binary.shape.map(Number);
      if (!shape.length || shape.some((n) => n < 1)) throw malformed(`shape [${shape}]`);
      return [{ type: INT8, shape, low: [0], high: [1], choices: Array(product(shape)).fill(2) }];
    }
    case 'dict': {
      const { members } = space.dict;
      if (new Set(members.map((member) => member.key)).size < members.length) throw malformed('a key twice');
      return members.flatMap((member) => leaves(member.space, `${field}.${member.key}`));
    }
    case 'tuple': return space.tuple.members.flatMap((member, i) => leaves(member, `${field}[${i}]`));
    default: throw malformed(kind ?? 'nothing known');
  }
}

function box(message, field) {
  const low = readTensor(message.low, `${field}.low`), high = readTensor(message.high, `${field}.high`);
  const shape = low.shape.length || high.shape.length ? low.shape : message.shape.map(Number);
  if (low.name !== high.name || String(low.shape) !== String(high.shape)) {
    throw new Refused(REASON.SPEC_MISMATCH, field, `high of ${low.name} [${low.shape}]`, `${high.name} [${high.shape}]`);
  }
  return { type: message.low.data_type, shape, low: low.values, high: high.values, choices: [] };
}

// Refuses a tensor that is not `rows` values of a leaf.
function checkLeaf(leaf, tensor, rows, field) {
  const { name, shape, values } = readTensor(tensor, field);
  if (name !== TYPES[leaf.type][0]) throw new Refused(REASON.DATA_TYPE, field, TYPES[leaf.type][0], name);
  expectShape(shape, [rows, ...leaf.shape], field);
  const { low, high } = leaf, size = product(leaf.shape);
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (typeof value === 'number' && !Number.isFinite(value)) {
      throw new Refused(REASON.NOT_FINITE, field, 'finite numbers', `${value} in row ${Math.floor(i / size)}`);
    }
    const least = low.length > 1 ? low[i % size] : low[0], most = high.length > 1 ? high[i % size] : high[0];
    if (value < least || value > most) throw new Refused(REASON.OUT_OF_BOUNDS, field, `[${least}, ${most}]`, value);
  }
}

// A leaf's mask of legal choices, or null where all are legal.
function readMask(leaf, tensor, rows, field) {
  if (!tensor.data_type && !tensor.data.length) return null;
  const { name, shape, values } = readTensor(tensor, field);
  if (name !== 'uint8') throw new Refused(REASON.DATA_TYPE, field, 'uint8', name);
  const width = sum(leaf.choices);
  expectShape(shape, leaf.choices.length ? [rows, width] : [rows, ...leaf.shape], field);
  if (!leaf.choices.length) return null; // elements that are ignored may hold anything
  for (let row = 0; row < rows; row++) firstLegal(leaf, values.subarray(row * width, (row + 1) * width), field);
  return values;
}

// The first legal choice of every element.
function firstLegal(leaf, mask, field) {
  let start = 0;
  return leaf.choices.map((count) => {
    const choice = mask.subarray(start, start + count).findIndex((legal) => legal !== 0);
    if (choice < 0) throw new Refused(REASON.OUT_OF_BOUNDS, field, 'a legal choice in every row', 'none');
    start += count;
    return choice;
  });
}

// What this agent does: the middle of the bounds, or the first legal choice. A row depends on nothing but its mask.
function decide(leaf, mask, rows) {
  const [, Elements] = TYPES[leaf.type];
  const size = product(leaf.shape), values = new Elements(rows * size);
  if (leaf.choices.length && mask) {
    const width = sum(leaf.choices), integer = Elements === BigInt64Array ? BigInt : Number;
    for (let row = 0; row < rows; row++) {
      const chosen = firstLegal(leaf, mask.subarray(row * width, (row + 1) * width), 'action_mask');
      chosen.forEach((choice, i) => { values[row * size + i] = leaf.low[0] + integer(choice); });
    }
  } else {
    for (let i = 0; i < values.length; i++) {
      const low = leaf.low.length > 1 ? leaf.low[i % size] : leaf.low[0];
      const high = leaf.high.length > 1 ? leaf.high[i % size] : leaf.high[0];
      values[i] = leaf.choices.length ? low : middle(low, high);
    }
  }
  return { data_type: leaf.type, shape: [rows, ...leaf.shape], data: Buffer.from(values.buffer) };
}

function middle(low, high) {
  if (typeof low === 'bigint') return low + (high - low) / 2n;
  if (Number.isFinite(low) && Number.isFinite(high)) return low + (high - low) / 2;
  return Math.min(Math.max(0, low), high); // an open bound
}

module.exports = { FLOAT32, REASON, Refused, checkLeaf, decide, leaves, readMask };
