export { createFakeNode, type FakeNode, type FakeNodeOptions, type FakePublished, type FakeStatus } from './node.js';
export type { FakeStream } from './streams.js';
export { type Wire, webSockets } from './wire.js';
