// Runs wire cases: what a client is asked to do, what it sends for it, what a node answers, and what its handlers hear.
// The cases are data (cases/*.json), so that a client in another language can be held against the same ones.
import assert from 'node:assert/strict';
import { createClient } from '../src/client.js';
import type { Client } from '../src/client.js';
import type { SubscribeOptions, Subscription } from '../src/types.js';
import { type Frame, type Peer, ScriptedNode } from './scripted.js';
import { pause, until } from './wait.js';

/** One step of a case; exactly one key says what it is. `on` is the connection, the newest one where it is absent. */
export interface Step {
  on?: number;
  /** The client does: `[verb, arguments..]`. */
  subscribe?: { as: string; subject: string; options?: Pick<SubscribeOptions, 'snapshot' | 'after'> };
  unsubscribe?: string;
  publish?: { as: string; subject: string; data: unknown; options?: object };
  request?: { as: string; subject: string; data: unknown; options?: object };
  /** The node takes `connect` and answers it; the fields are added to `welcome`. */
  welcome?: object;
  /** The node receives this frame next: each field that stands here has this value, others count for nothing. */
  expect?: Frame;
  /** The node has received nothing more after so many milliseconds. */
  quiet?: number;
  /** The node sends these frames in one message. `"$subscribe"` is the id of the last frame with that body, `"$subscribe.1"` of the first. */
  send?: object[];
  close?: [code: number, reason: string];
  cut?: true;
  /** The client has closed the connection with this code. */
  closed?: number;
  /** All that a handler has heard, in order; a publish or request has its answer or error as the only entry. */
  heard?: Record<string, object[]>;
  status?: string;
  /** Connections that were opened so far. */
  connections?: number;
  cursor?: { subject: string; is: string };
}

export interface Case {
  name: string;
  /** What a client may leave out that serves one handler per subject, and not the components of a page. */
  feature?: 'checks' | 'complete' | 'cover' | 'late' | 'move' | 'release';
  /** Tokens that the application gives, one per call. */
  tokens?: string[];
  steps: Step[];
}

type Heard = Record<string, unknown>;

export async function runCase({ tokens, steps }: Case, node: ScriptedNode): Promise<void> {
  const left = [...(tokens ?? [])];
  const client = createClient({
    url: node.url,
    WebSocket: node.WebSocket,
    ...(tokens && { token: () => left.shift() ?? assert.fail('a token too many was asked for') }),
  });
  const run = new Run(node, client);
  try {
    for (const [number, step] of steps.entries()) {
      await run.step(step).catch((error: unknown) => {
        throw new Error(`step ${number + 1}, ${JSON.stringify(step)}: ${String(error)}`, { cause: error });
      });
    }
    assert.deepEqual(left, [], 'tokens that were not asked for');
  } finally {
    client.close();
    node.stop();
  }
}

class Run {
  readonly #heard: Record<string, Heard[]> = {};
  readonly #subscriptions: Record<string, Subscription> = {};
  readonly #ids = new Map<string, number | undefined>();
  readonly #counts = new Map<string, number>();

  constructor(
    readonly node: ScriptedNode,
    readonly client: Client,
  ) {}

  async step(step: Step): Promise<void> {
    const { subscribe, unsubscribe, publish, request, heard, status, connections, cursor } = step;
    if (subscribe) {
      const { as, subject, options } = subscribe;
      const log = this.#log(as);
      this.#subscriptions[as] = this.client.subscribe(subject, (event) => log.push({ event }), {
        ...options,
        onGap: (gap) => log.push({ gap }),
        onError: ({ code }) => log.push({ error: code }),
      });
    } else if (unsubscribe) this.#subscriptions[unsubscribe]?.unsubscribe();
    else if (publish) this.#ask(publish.as, this.client.publish(publish.subject, publish.data, publish.options));
    else if (request) this.#ask(request.as, this.client.request(request.subject, request.data, request.options));
    else if (heard) {
      for (const [as, expected] of Object.entries(heard)) {
        await until(() => {
          contains(this.#log(as), expected);
          return true;
        }, `what ${as} hears`, 3_000);
      }
    } else if (status) await until(() => this.client.status.getSnapshot().status === status, `status ${status}`);
    else if (connections) {
      await until(() => this.node.peers.length >= connections, `${connections} connections`);
      assert.equal(this.node.peers.length, connections);
    } else if (cursor) assert.equal(this.client.cursor(cursor.subject), cursor.is);
    else await this.#onPeer(step, await this.node.peer(step.on ?? Math.max(0, this.node.peers.length - 1)));
  }

  async #onPeer({ welcome, expect, quiet, send, close, cut, closed }: Step, peer: Peer): Promise<void> {
    if (welcome) this.#remember(await peer.welcome(welcome));
    else if (expect) {
      const body = Object.keys(expect).find((key) => key !== 'id') ?? '';
      const frame = await peer.next(body);
      this.#remember(frame);
      contains(frame, expect);
    } else if (quiet) {
      await pause(quiet);
      assert.deepEqual(peer.rest, []);
    } else if (send) peer.send(...send.map((frame) => this.#filled(frame)));
    else if (close) peer.socket.close(...close);
    else if (cut) peer.socket.terminate();
    else if (closed) assert.equal((await until(() => peer.closed, 'a close')).code, closed);
    else assert.fail('an unknown step');
  }

  #log(as: string): Heard[] {
    return (this.#heard[as] ??= []);
  }

  #ask(as: string, answer: Promise<unknown>): void {
    answer.then(
      (value) => this.#log(as).push({ answer: value }),
      (error: { code?: string }) => this.#log(as).push({ error: error.code }),
    );
  }

  #remember(frame: Frame): void {
    for (const body of Object.keys(frame)) {
      const count = (this.#counts.get(body) ?? 0) + 1;
      this.#counts.set(body, count);
      for (const name of [`$${body}`, `$${body}.${count}`]) this.#ids.set(name, frame.id);
    }
  }

  #filled(frame: object): object {
    const { replyTo } = frame as { replyTo?: unknown };
    return typeof replyTo === 'string' ? { ...frame, replyTo: this.#ids.get(replyTo) } : frame;
  }
}

/** Whether all that is expected is there; lists have to be equally long. */
function contains(actual: unknown, expected: unknown, path = ''): void {
  if (Array.isArray(expected)) {
    assert.ok(Array.isArray(actual), `${path} is a list`);
    assert.equal(actual.length, expected.length, `${path}: ${JSON.stringify(actual)}`);
    expected.forEach((value, index) => contains(actual[index], value, `${path}[${index}]`));
  } else if (typeof expected === 'object' && expected !== null) {
    assert.ok(typeof actual === 'object' && actual !== null, `${path}: ${JSON.stringify(actual)}`);
    for (const [key, value] of Object.entries(expected)) contains((actual as Heard)[key], value, `${path}.${key}`);
  } else {
    assert.equal(actual, expected, path);
  }
}
