import type { Config } from './types.js';
/** The configured address, the page's `<meta name="notifier-url">`, or its origin; none where there is no page. */
export declare function urlOf(config: Config): string | undefined;
