import type { WireEvent, WireGap } from './frames.js';
import type { Gap, NotifierEvent, PublishOptions } from './types.js';
export declare const decoded: (base64: string) => Uint8Array;
export declare const encoded: (bytes: Uint8Array) => string;
/** Makes the event out of the parsed frame itself, which is nobody else's: a copy would double what an event costs. */
export declare function received(wire: WireEvent, snapshot?: boolean, replayed?: boolean): NotifierEvent;
export declare const gapOf: ({ subject, stream, fromSeq, toSeq, reason }: WireGap) => Gap;
/**
 * An identifier under which repeats are known. Not `randomUUID`, which exists in secure contexts only; React Native has no
 * `crypto` at all.
 */
export declare function freshId(): string;
/** The event to send; throws where the node could not read it. */
export declare function sent(data: unknown, options: PublishOptions): Partial<WireEvent>;
