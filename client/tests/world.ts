// Clients over a scripted node, for what cannot be said as data.
import WebSocket from 'ws';
import { type Client, createClient } from '../src/client.js';
import type { Config, WebSocketConstructor } from '../src/types.js';
import { type Peer, ScriptedNode } from './scripted.js';

export const SOCKET = WebSocket as unknown as WebSocketConstructor;

export interface Pair {
  node: ScriptedNode;
  client: Client & { close(): void };
  /** A connection that has been welcomed. */
  peer: () => Promise<Peer>;
}

/** Runs with a client and its node, and ends both whatever happens. */
export async function pair(run: (pair: Pair) => Promise<void>, config: Config = {}): Promise<void> {
  const node = await ScriptedNode.start();
  const client = createClient({ url: node.url, WebSocket: SOCKET, ...config });
  let connections = 0;
  const peer = async (): Promise<Peer> => {
    const next = await node.peer(connections++);
    await next.welcome();
    return next;
  };
  try {
    await run({ node, client, peer });
  } finally {
    client.close();
    node.stop();
  }
}

export const event = (subject: string, data: unknown, seq?: number): object => ({
  event: { subject, time: 1, data, ...(seq && { stream: 'S', seq }) },
});
