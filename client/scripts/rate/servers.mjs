// The servers of the comparison, with limits that hold nothing back, and how events are published to each.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

const REPOSITORY = new URL('../../../', import.meta.url).pathname;
const NOTIFIER = process.env.NOTIFIER_BIN ?? join(process.env.CARGO_TARGET_DIR ?? join(REPOSITORY, 'target'), 'release/notifier');
const NATS = process.env.NATS_SERVER ?? 'nats-server';
const FIRST_PORT = 21_310;
export const NATS_PORT = FIRST_PORT;
export const SUBJECT = 'rate.x';
/** Events of one request to Centrifugo, and of one write to NATS. */
const BATCH = 1_000;
/** Requests to Centrifugo at once: one after the other they are slower than a page. */
const LANES = 4;

const data = (number) => JSON.stringify({ n: number, sku: 'mug', qty: number % 7, at: 1_795_338_000_500 + number });

async function start(command, args, ready, ends) {
  // A node takes each variable that begins so for a setting.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('NOTIFIER_')));
  const child = spawn(command, args, { env, stdio: 'ignore' });
  ends.push(async () => {
    if (child.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit');
  });
  child.on('error', (error) => console.error(`${command}: ${error.message}`));
  for (let attempt = 0; attempt < 200; attempt++) {
    if (await ready().catch(() => false)) return;
    if (child.exitCode !== null) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${command} does not start`);
}

/** A broker and a node; the address of its WebSockets. */
export async function notifier(folder, ends) {
  const greeted = async () => {
    const socket = connect(NATS_PORT, '127.0.0.1');
    await once(socket, 'data');
    socket.destroy();
    return true;
  };
  await start(NATS, ['-a', '127.0.0.1', '-p', String(NATS_PORT)], greeted, ends);
  const config = join(folder, 'notifier.toml');
  const [port, internal] = [FIRST_PORT + 1, FIRST_PORT + 2];
  writeFileSync(config, [
    '[auth]\nmode = "anonymous"',
    '[server]\nallowed_origins = ["*"]',
    `[broker.nats]\nurls = ["nats://127.0.0.1:${NATS_PORT}"]`,
    '[limits]\noutbox_bytes = "512MiB"\noutbox_frames = 1000000\nstall_time = "2m"',
  ].join('\n'));
  const listen = ['--listen', `127.0.0.1:${port}`, '--internal-listen', `127.0.0.1:${internal}`];
  const isReady = async () => (await fetch(`http://127.0.0.1:${internal}/readyz`)).ok;
  await start(NOTIFIER, ['serve', '--config', config, ...listen], isReady, ends);
  return `ws://127.0.0.1:${port}/v1/ws`;
}

/** Publishes as a service does, by the text protocol of NATS; resolves when the broker has taken all. */
export async function publishToNats(port, events) {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'data');
  socket.write('CONNECT {"verbose":false}\r\n');
  for (let number = 0; number < events; number += BATCH) {
    let text = '';
    for (let i = number; i < Math.min(events, number + BATCH); i++) {
      const payload = data(i);
      text += `PUB ${SUBJECT} ${payload.length}\r\n${payload}\r\n`;
    }
    if (!socket.write(text)) await once(socket, 'drain');
  }
  socket.write('PING\r\n');
  for await (const answer of socket) if (String(answer).includes('PONG')) break;
  socket.destroy();
}

/** A Centrifugo with its engine in memory; the address of its WebSockets. */
export async function centrifugo(folder, ends) {
  const port = FIRST_PORT + 3;
  const config = join(folder, 'centrifugo.json');
  writeFileSync(config, JSON.stringify({
    http_server: { address: '127.0.0.1', port },
    client: { allowed_origins: ['*'], insecure: true, queue_max_size: 536_870_912 },
    http_api: { insecure: true },
    health: { enabled: true },
    log: { level: 'error' },
  }));
  const isReady = async () => (await fetch(`http://127.0.0.1:${port}/health`)).ok;
  await start(process.env.CENTRIFUGO, ['--config', config], isReady, ends);
  return `ws://127.0.0.1:${port}/connection/websocket`;
}

/** Publishes by its HTTP API, a thousand events per request, several requests at once. */
export async function publishToCentrifugo(url, events) {
  const api = url.replace('ws', 'http').replace('/connection/websocket', '/api/batch');
  let next = 0;
  const lane = async () => {
    const number = next;
    next += BATCH;
    if (number >= events) return;
    const commands = [];
    for (let i = number; i < Math.min(events, number + BATCH); i++) commands.push(`{"publish":{"channel":"${SUBJECT}","data":${data(i)}}}`);
    const answer = await fetch(api, { method: 'POST', body: `{"commands":[${commands.join()}]}`, headers: { 'content-type': 'application/json' } });
    if (!answer.ok) throw new Error(`Centrifugo: ${answer.status} ${await answer.text()}`);
    await answer.arrayBuffer();
    await lane();
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}
