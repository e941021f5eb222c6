// Real nodes on a real nats-server, and a proxy in front of them that cuts connections wherever it likes.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { REPOSITORY } from './paths.js';
import { until } from './wait.js';

export const NOTIFIER = process.env.NOTIFIER_BIN ?? join(process.env.CARGO_TARGET_DIR ?? join(REPOSITORY, 'target'), 'debug/notifier');
/** Long runs, as at night. */
export const FULL = process.env.TEST_SIZE === 'full';
/** CLIENT_TEST_LOGS=1 shows what nodes and broker log, at once. */
const LOGS = !!process.env.CLIENT_TEST_LOGS;
/** Characters that are kept of what a program printed last, for whoever finds that it has ended. */
const KEPT_CHARACTERS = 4_000;
const NATS = process.env.NATS_SERVER ?? 'nats-server';

/**
 * A port that nobody listens on, below those that systems give to whoever asks for any (Linux: from 32768): nobody gets
 * it by chance before it is used, nor while what listens on it is started again.
 */
const taken = new Set<number>();
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 22_000);
    if (taken.has(port)) continue;
    taken.add(port);
    const server = createServer().listen(port, '127.0.0.1');
    const free = await once(server, 'listening').then(() => true, () => false);
    if (!free) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

/** What runs now. Nothing of it outlives this process, however that ends; one that hangs ends by itself. */
const children = new Set<ChildProcess>();
const LONGEST_MS = (FULL ? 30 : 10) * 60_000;
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => process.exit(1));
setTimeout(() => process.exit(1), LONGEST_MS).unref();

/** A program that can be ended in any way and started again. */
export class Program {
  #process: ChildProcess | undefined;
  #printed = '';

  constructor(
    readonly command: string,
    readonly args: string[],
    readonly ready: () => Promise<boolean>,
  ) {}

  async start(): Promise<void> {
    // A node takes each variable that begins so for a setting.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('NOTIFIER_')));
    const child = spawn(this.command, this.args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#printed = '';
    for (const output of [child.stdout, child.stderr]) {
      output.on('data', (bytes: Buffer) => {
        if (LOGS) process.stderr.write(bytes);
        this.#printed = (this.#printed + bytes.toString()).slice(-KEPT_CHARACTERS);
      });
    }
    child.on('error', (error) => process.stderr.write(`${this.command}: ${error.message}\n`));
    children.add(child);
    child.on('exit', () => children.delete(child));
    this.#process = child;
    const begun = async (): Promise<boolean> => !this.running || (await this.ready().catch(() => false));
    await until(begun, `${this.command} is ready`, 20_000);
    if (!this.running) throw new Error(`${this.command} has ended:\n${this.#printed}`);
  }

  get running(): boolean {
    return !!this.#process && this.#process.exitCode === null && this.#process.signalCode === null;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (!this.running || !this.#process) return;
    const gone = once(this.#process, 'exit');
    this.#process.kill(signal);
    await gone;
  }
}

export class RealNode extends Program {
  constructor(
    config: string,
    readonly port: number,
    readonly internal: number,
  ) {
    const listen = ['--listen', `127.0.0.1:${port}`, '--internal-listen', `127.0.0.1:${internal}`];
    super(NOTIFIER, ['serve', '--config', config, ...listen], async () => {
      return (await fetch(`http://127.0.0.1:${internal}/readyz`)).ok;
    });
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}/v1/ws`;
  }

  /** Connections that the node counts. */
  async connections(): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.internal}/metrics`)).text();
    const lines = [...text.matchAll(/^notifier_connections(?:\{[^}]*\})? (\d+)/gm)];
    return lines.reduce((sum, [, count]) => sum + Number(count), 0);
  }

  /** Publishes as a service with `curl` does; false where it was not acknowledged, so that it may or may not be stored. */
  async publish(subject: string, data: unknown, id: string): Promise<boolean> {
    const answer = await fetch(`http://127.0.0.1:${this.port}/v1/publish/${subject}`, {
      method: 'POST',
      body: JSON.stringify(data),
      headers: { 'content-type': 'application/json', 'nats-msg-id': id },
      signal: AbortSignal.timeout(3_000),
    }).catch(() => undefined);
    await answer?.text();
    return !!answer?.ok;
  }
}

/** What networks do to WebSockets; a page chooses one by the query of its address, since nodes ignore that. */
export const BLOCKED = ['refused', 'answered', 'reset', 'swallowed', 'silent', 'ended', 'closed'] as const;
export type Blocked = (typeof BLOCKED)[number];

const answer = (status: string, body = ''): string =>
  `HTTP/1.1 ${status}\r\nContent-Type: text/html\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`;
/** A Close frame without a code. */
const CLOSE_FRAME = Buffer.from([0x88, 0]);

/** Two nodes, a broker and a proxy; `d.>` is durable, `p.>` latest, all else live. */
export class World {
  readonly sockets = new Set<Socket>();
  /** Sockets that stay open and carry nothing any more, as after a change of network. */
  readonly silent = new Set<Socket>();
  /** Bytes to a client after which the next connection ends, wherever in a frame that is. */
  cutAfter: (() => number) | undefined;
  /** What happens to all WebSockets, whatever their address says; `pass` lets all of them through. */
  webSockets: Blocked | 'pass' | undefined;
  /** Answers of event streams are held back until they are complete, as virus scanners do. */
  holdsBack = false;
  /** Whether a poll is answered by the proxy, with 502. */
  pollFails: (() => boolean) | undefined;
  /** Sockets of WebSockets that hang. */
  readonly hanging = new Set<Socket>();
  #turn = 0;

  private constructor(
    readonly folder: string,
    readonly nats: Program,
    readonly nodes: RealNode[],
    readonly proxy: Server,
  ) {}

  static async start(count: number, more = ''): Promise<World> {
    const folder = mkdtempSync(join(tmpdir(), 'notifier-client-'));
    const natsPort = await freePort();
    const nats = new Program(NATS, ['-a', '127.0.0.1', '-p', String(natsPort), '-js', '-sd', folder], async () => {
      const socket = connect(natsPort, '127.0.0.1');
      await once(socket, 'data');
      socket.destroy();
      return true;
    });
    const config = join(folder, 'notifier.toml');
    writeFileSync(config, CONFIG.replace('NATS_PORT', String(natsPort)) + more);
    const nodes = await Promise.all(
      Array.from({ length: count }, async () => new RealNode(config, await freePort(), await freePort())),
    );
    const proxy = createServer();
    const world = new World(folder, nats, nodes, proxy);
    proxy.on('connection', (socket) => world.#forward(socket));
    proxy.listen(0, '127.0.0.1');
    try {
      await nats.start();
      await Promise.all(nodes.map((node) => node.start()));
    } catch (error) {
      await world.stop();
      throw error;
    }
    return world;
  }

  /** Through the proxy, to any node that takes it. */
  get url(): string {
    return `ws://127.0.0.1:${(this.proxy.address() as AddressInfo).port}/v1/ws`;
  }

  async stop(): Promise<void> {
    this.proxy.close();
    for (const socket of this.sockets) socket.destroy();
    await Promise.all([...this.nodes, this.nats].map((program) => program.end('SIGKILL')));
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** From now on the network carries everything. */
  heal(): void {
    this.webSockets = this.pollFails = this.cutAfter = undefined;
    this.holdsBack = false;
    for (const socket of this.hanging) socket.destroy();
  }

  /** Publishes until it is acknowledged; a repeat is stored once. */
  async publish(subject: string, data: unknown, id: string): Promise<void> {
    await until(async () => {
      const node = this.nodes[this.#turn++ % this.nodes.length];
      return node?.running && (await node.publish(subject, data, id));
    }, `${id} is published`, 30_000);
  }

  #forward(client: Socket): void {
    const running = this.nodes.filter((node) => node.running);
    const node = running[this.#turn++ % running.length];
    if (!node) return void client.destroy();
    const server = connect(node.port, '127.0.0.1');
    let left = this.cutAfter?.() ?? Infinity;
    let blocked: Blocked | undefined;
    let isHeldBack = false;
    let isUpgraded = false;
    const refuse = (text: string): void => {
      client.end(text);
      server.destroy();
    };
    /** What a client sends; false where it goes no further. */
    const asks = (text: string): boolean => {
      const [, path = '', query] = /^[A-Z]+ ([^ ?]+)\??(\S*) HTTP\/1/.exec(text) ?? [];
      // Its body may come in pieces.
      if (path) isHeldBack = this.holdsBack && path === '/v1/events';
      if (path === '/v1/poll' && this.pollFails?.()) return refuse(answer('502 Bad Gateway')), false;
      if (/^upgrade: websocket/im.test(text)) {
        blocked = this.webSockets === 'pass' ? undefined : (this.webSockets ?? BLOCKED.find((kind) => kind === query));
      }
      if (blocked === 'refused') return refuse(answer('403 Forbidden')), false;
      if (blocked === 'answered') return refuse(answer('200 OK', '<html>welcome</html>')), false;
      if (blocked === 'reset') return client.resetAndDestroy(), false;
      if (blocked === 'swallowed' || blocked === 'silent') this.hanging.add(client);
      return blocked !== 'swallowed' && !isUpgraded;
    };
    /** What a node answers to a WebSocket that ends, or is silent, behind the upgrade. */
    const upgraded = (bytes: Buffer): void => {
      if (isUpgraded) return;
      isUpgraded = true;
      client.write(bytes.subarray(0, bytes.indexOf('\r\n\r\n') + 4));
      if (blocked === 'closed') client.write(CLOSE_FRAME);
      if (blocked !== 'silent') client.end();
    };
    const carry = (from: Socket, to: Socket, bytes: Buffer): void => {
      if (this.silent.has(from)) return;
      if (from === client && !asks(bytes.toString('latin1'))) return;
      if (from === server && blocked) return upgraded(bytes);
      if (from === server && isHeldBack) return;
      if (from === server) left -= bytes.length;
      if (left >= 0) return void to.write(bytes);
      // The client gets what came before the cut, and no Close frame.
      to.end(bytes.subarray(0, bytes.length + left));
      from.destroy();
    };
    for (const [from, to] of [[client, server], [server, client]] as const) {
      this.sockets.add(from);
      from.setNoDelay(true);
      from.on('data', (bytes: Buffer) => carry(from, to, bytes));
      from.on('error', () => {});
      from.on('close', () => {
        this.sockets.delete(from);
        this.hanging.delete(from);
        if (!this.silent.has(from)) to.destroy();
      });
    }
  }
}

const CONFIG = `
[auth]
mode = "anonymous"
[server]
allowed_origins = ["*"]
live_page = true
[broker.nats]
urls = ["nats://127.0.0.1:NATS_PORT"]
[drain]
window = "500ms"
move_time = "2s"
grace = "10s"
[[streams]]
name = "DURABLE"
subjects = ["d.>"]
[[subjects]]
pattern = "d.>"
delivery = "durable"
stream = "DURABLE"
[[streams]]
name = "LATEST"
subjects = ["p.>"]
[[subjects]]
pattern = "p.>"
delivery = "latest"
stream = "LATEST"
`;
