import { type Dial } from './transport.js';
/** Dials by requests over HTTP. */
export declare const overHttp: Dial;
