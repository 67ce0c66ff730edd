'use strict';
// An agent service in JavaScript: node agent.js --listen HOST:PORT [--protos DIRECTORY]

const path = require('node:path');
const { parseArgs } = require('node:util');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');
const { FLOAT32, REASON, Refused, checkLeaf, decide, leaves, readMask } = require('./spaces');

const SOFTWARE = 'agora-node-agent 0.1.0', POLICY = 'middle', PROTOCOL_VERSION = 1, MAX_COPIES = 65536;
const CAPABILITIES = [1 /* ACTION_MASK */, 4 /* EXACT_VERSION */];
const MAX_BYTES = 64 * 1024 * 1024;
let frames = 0;

function refuse(holds, reason, field, expected, got) {
  if (!holds) throw new Refused(reason, field, expected, got);
}

// Runs `work`; a refusal from it names its field under `prefix`.
function under(prefix, work) {
  try {
    return work();
  } catch (error) {
    throw error instanceof Refused ? error.under(prefix) : error;
  }
}

function checkPolicy(policy) {
  const id = policy?.policy_id ?? '';
  refuse(id === '' || id === POLICY, REASON.UNKNOWN_POLICY, 'policy.policy_id', POLICY, id);
  // The only version there is has the number 0-0: it never learns.
  const wanted = policy?.[policy.requirement], there = !wanted || (wanted.epoch === '0' && wanted.step === '0');
  return [there, `policy.${policy?.requirement}`, wanted];
}

// The seats of a hello: what each agent sees and may do, by its number.
function greet(hello) {
  const versions = hello.protocol_versions;
  refuse(versions.includes(PROTOCOL_VERSION), REASON.PROTOCOL_VERSION, 'protocol_versions',
    `${PROTOCOL_VERSION} among them`, `[${versions}]`);
  refuse(hello.agents.length, REASON.SHAPE, 'agents', 'at least one agent', 'none');
  const seats = new Map();
  hello.agents.forEach((spec, i) => under(`agents[${i}]`, () => {
    refuse(!seats.has(spec.index), REASON.UNKNOWN_AGENT, 'index', 'a number of its own', spec.index);
    checkPolicy(spec.policy);
    const observation = leaves(spec.observation_space, 'observation_space');
    seats.set(spec.index, { observation, action: leaves(spec.action_space, 'action_space') });
  }));
  return seats;
}

function countRows(asked) {
  const { copies, steps } = asked;
  refuse(copies.length % 4 === 0, REASON.SHAPE, 'copies', '4 bytes a number', `${copies.length} bytes`);
  for (let at = 0; at < copies.length; at += 4) {
    const copy = copies.readUInt32LE(at);
    refuse(copy < MAX_COPIES, REASON.OUT_OF_BOUNDS, 'copies', `[0, ${MAX_COPIES - 1}]`, copy);
  }
  const fits = !steps.length || steps.length === copies.length;
  refuse(fits, REASON.SHAPE, 'steps', `${copies.length} bytes`, `${steps.length} bytes`);
  return copies.length / 4;
}

// The answer to one agent's rows.
function answer(seat, asked) {
  const rows = countRows(asked), { observation, action_mask: masks, memory } = asked;
  refuse(observation.length === seat.observation.length, REASON.SHAPE, 'observation',
    `${seat.observation.length} leaves`, observation.length);
  seat.observation.forEach((leaf, i) => checkLeaf(leaf, observation[i], rows, `observation[${i}]`));
  refuse(!masks.length || masks.length === seat.action.length, REASON.SHAPE, 'action_mask',
    `none or ${seat.action.length} masks`, masks.length);
  refuse(!memory.length, REASON.SHAPE, 'memory', '0 bytes', `${memory.length} bytes`);
  refuse(!asked.exploration, REASON.UNSUPPORTED, 'exploration', 'none: it is not a capability of this agent', 'some');
  const action = seat.action.map((leaf, i) => {
    const mask = masks.length ? readMask(leaf, masks[i], rows, `action_mask[${i}]`) : null;
    return decide(leaf, mask, rows);
  });
  const logProb = { data_type: FLOAT32, shape: [rows], data: Buffer.alloc(4 * rows) };
  return { index: asked.index, action, log_prob: logProb, policy_id: POLICY, version: { epoch: 0, step: 0 } };
}

function decideFrame(seats, frame) {
  refuse(seats, REASON.NOT_READY, 'decisions', 'a hello first', 'a frame');
  const start = process.hrtime.bigint();
  const agents = frame.agents.map((asked, i) => under(`agents[${i}]`, () => {
    const seat = seats.get(asked.index);
    refuse(seat, REASON.UNKNOWN_AGENT, 'index', `one of [${[...seats.keys()]}]`, asked.index);
    const [there, field, wanted] = checkPolicy(asked.policy);
    refuse(there, REASON.VERSION_UNAVAILABLE, field, `version ${wanted?.epoch}-${wanted?.step}`, 'version 0-0 only');
    return answer(seat, asked);
  }));
  frames += 1;
  const compute = Number((process.hrtime.bigint() - start) / 1000n);
  return { decisions: { sequence: frame.sequence, agents, compute_us: compute } };
}

function refusal(sequence, error) {
  if (error instanceof Refused) return { refusal: { sequence, refusal: error.toMessage() } };
  console.error(error);
  const fault = new Refused(REASON.INTERNAL, 'decisions', 'no fault', 'one that is in the log');
  return { refusal: { sequence, refusal: fault.toMessage() } };
}

// One stream: the hello, then frames, each answered once and in order.
function act(call) {
  let seats = null;
  const hear = (request) => {
    if (request.kind === 'hello') {
      try {
        refuse(!seats, REASON.NOT_READY, 'hello', 'one hello', 'a second one');
        seats = greet(request.hello);
      } catch (error) {
        call.off('data', hear);
        call.write(refusal(0, error));
        return call.end();
      }
      const memory = [...seats].map(() => 0);
      const welcome = { protocol_version: 1, software: SOFTWARE, capabilities: CAPABILITIES, memory_bytes: memory };
      return call.write({ welcome });
    }
    try {
      refuse(request.kind === 'decisions', REASON.UNSUPPORTED, 'kind', 'hello or decisions', 'nothing known');
      return call.write(decideFrame(seats, request.decisions));
    } catch (error) {
      return call.write(refusal(request.decisions?.sequence ?? 0, error));
    }
  };
  call.on('data', hear);
  call.on('end', () => call.end());
  call.on('error', () => call.end()); // the other side broke the stream; nothing is kept for it
}

function describe(call, reply) {
  const held = { policy_id: POLICY, kind: 'node', version: { epoch: 0, step: 0 }, serving: true };
  reply(null, { software: SOFTWARE, policies: [held], frames });
}

// grpc.health.v1.Health/Check, which always says SERVING (field 1 = 1).
const HEALTH = {
  check: {
    path: '/grpc.health.v1.Health/Check', requestStream: false, responseStream: false,
    requestDeserialize: (bytes) => bytes, responseSerialize: () => Buffer.from([8, 1]),
    requestSerialize: (bytes) => bytes, responseDeserialize: (bytes) => bytes,
  },
};

function main() {
  const protos = path.join(__dirname, '..', '..', '..', 'protos');
  const options = { listen: { type: 'string', default: '127.0.0.1:7160' }, protos: { type: 'string', default: protos } };
  const { listen, protos: folder } = parseArgs({ options }).values;
  const loading = { includeDirs: [folder], keepCase: true, longs: String, defaults: true, arrays: true, oneofs: true };
  const { agora } = grpc.loadPackageDefinition(protoLoader.loadSync('agora/v1/agent.proto', loading));
  const sizes = { 'grpc.max_receive_message_length': MAX_BYTES, 'grpc.max_send_message_length': MAX_BYTES };
  const server = new grpc.Server(sizes);
  server.addService(agora.v1.AgentService.service, { Act: act, DescribeAgents: describe });
  server.addService(HEALTH, { check: (call, reply) => reply(null, {}) });
  server.bindAsync(listen, grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    console.error(`listening on port ${port}`);
  });
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => { server.forceShutdown(); process.exit(0); });
}

main();
