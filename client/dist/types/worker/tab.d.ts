import type { StatusInfo } from '../types.js';
import type { LineOwner, Lines } from './lines.js';
export declare class Tab implements LineOwner {
    #private;
    constructor(port: MessagePort, lines: Lines);
    online({ status, node, user, transport }: StatusInfo): void;
    ended(code: number, reason: string, { retryAt }: StatusInfo): void;
    token(): Promise<string | undefined>;
}
