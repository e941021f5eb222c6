// A SharedWorker in the process of the test: the same code as in a browser, and the same messages.
import { Lines } from '../src/worker/lines.js';
import { Tab } from '../src/worker/tab.js';
import type { Config } from '../src/types.js';
import { SOCKET } from './world.js';

/** From now on `tabs: 'shared'` leads to one worker for each address of a script, whose connections are so configured. */
export function startWorkers(config: Config = { WebSocket: SOCKET }): void {
  const workers = new Map<string, Lines>();
  globalThis.SharedWorker = class {
    readonly port: MessagePort;
    onerror = null;

    constructor(script: string) {
      const lines = workers.get(script) ?? new Lines(config);
      workers.set(script, lines);
      const { port1, port2 } = new MessageChannel();
      this.port = port1;
      new Tab(port2, lines);
    }
  } as unknown as typeof SharedWorker;
}

export const SHARED: Config = { tabs: 'shared', WebSocket: SOCKET };
