// A node that does what it is told, frame by frame. No logic of its own but the WebSocket.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import { LIMITS } from '../src/testing/session.js';
import { webSockets } from '../src/testing/wire.js';
import type { WebSocketConstructor } from '../src/types.js';
import { until } from './wait.js';

export type Frame = Record<string, unknown> & { id?: number };

/** The node's end of a connection. */
interface Line {
  send(text: string): void;
  close(code: number, reason: string): void;
  /** Ends it without a Close frame. */
  terminate(): void;
}

/** One client's connection: what it has sent, and what it is to be told. */
export class Peer {
  readonly frames: Frame[] = [];
  closed: { code: number } | undefined;
  #taken = 0;

  constructor(readonly socket: Line) {}

  received(message: string): void {
    for (const line of message.split('\n')) if (line) this.frames.push(JSON.parse(line) as Frame);
  }

  /** The client's next frame, which has to have this body. */
  async next(body: string): Promise<Frame> {
    const frame = await until(() => this.frames[this.#taken], `a frame \`${body}\``);
    if (!(body in frame)) throw new Error(`expected \`${body}\`, got ${JSON.stringify(frame)}`);
    this.#taken++;
    return frame;
  }

  /** Frames that nobody has looked at. */
  get rest(): Frame[] {
    return this.frames.slice(this.#taken);
  }

  send(...frames: object[]): void {
    this.socket.send(frames.map((frame) => JSON.stringify(frame)).join('\n'));
  }

  /** Takes `connect` and answers it. */
  async welcome(more: object = {}): Promise<Frame> {
    const connect = await this.next('connect');
    const welcome = { connection: 'c', node: 'n', heartbeatMs: 25_000, limits: LIMITS, serverTime: Date.now(), ...more };
    this.send({ replyTo: connect.id, welcome });
    return connect;
  }

  /** Takes `subscribe` and says that it is live. */
  async subscribed(subject: string, more: object = { delivery: 'live' }): Promise<Frame> {
    const frame = await this.next('subscribe');
    this.send({ replyTo: frame.id, subscribed: { subject, ...more } });
    return frame;
  }
}

export class ScriptedNode {
  readonly peers: Peer[] = [];

  private constructor(
    readonly url: string,
    readonly WebSocket: WebSocketConstructor,
    readonly end: () => void,
  ) {}

  /** Over the network. */
  static async start(): Promise<ScriptedNode> {
    const server = new WebSocketServer({
      host: '127.0.0.1',
      port: 0,
      handleProtocols: (offered) => (offered.has('notifier.v1.json') ? 'notifier.v1.json' : false),
    });
    await once(server, 'listening');
    const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/v1/ws`;
    const node = new ScriptedNode(url, WebSocket as unknown as WebSocketConstructor, () => server.close());
    server.on('connection', (socket) => {
      const peer = new Peer(socket);
      socket.on('message', (message) => peer.received(String(message)));
      socket.on('close', (code) => (peer.closed = { code }));
      node.peers.push(peer);
    });
    return node;
  }

  /** Over the connections in memory that tests of components use. */
  static inMemory(): ScriptedNode {
    const accept = webSockets((wire) => {
      const peer = new Peer({ send: wire.send, close: wire.close, terminate: () => wire.close() });
      wire.onmessage = (text) => peer.received(text);
      wire.onclose = (code) => (peer.closed = { code });
      node.peers.push(peer);
    });
    const node: ScriptedNode = new ScriptedNode('ws://fake.invalid/v1/ws', accept, () => {});
    return node;
  }

  /** The connection that was opened as the `number`th, from 0. */
  peer(number: number): Promise<Peer> {
    return until(() => this.peers[number], `connection ${number}`);
  }

  stop(): void {
    for (const { socket } of this.peers) socket.terminate();
    this.end();
  }
}
