// The library: verbs over the page's one connection. Importing it does nothing; the first verb does.
import { clientOver } from './client.js';
import { shared, withKernel } from './shared.js';

const page = /* @__PURE__ */ clientOver(
  withKernel,
  () => shared().kernel,
  () => shared().copies.map(({ version }) => version),
);

export const { configure, subscribe, live, publish, request, fetch, status, cursor, inspect } = page;
export { type Client, createClient } from './client.js';
export type { CloseCode, ErrorCode } from './codes.js';
export type * from './types.js';
