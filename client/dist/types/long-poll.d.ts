import type { Feed } from './feed.js';
import { type Http } from './http.js';
export declare function longPoll(feed: Feed, http: Http): Promise<void>;
