// Where to connect to.
import type { Config } from './types.js';

const PATH = '/v1/ws';

/** The configured address, the page's `<meta name="notifier-url">`, or its origin; none where there is no page. */
export function urlOf(config: Config): string | undefined {
  if (config.url) return config.url;
  const meta = globalThis.document?.querySelector<HTMLMetaElement>('meta[name="notifier-url"]')?.content;
  if (meta) return meta;
  const origin = globalThis.location?.origin;
  return origin?.startsWith('http') ? origin.replace('http', 'ws') + PATH : undefined;
}
