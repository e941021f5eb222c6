import type { Feed } from './feed.js';
import { type Http } from './http.js';
export declare function eventStream(feed: Feed, http: Http): Promise<void>;
