import { type Dial } from './transport.js';
/** Dials by an event stream. */
export declare const eventStream: Dial;
