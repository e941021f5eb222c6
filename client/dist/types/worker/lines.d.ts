import { type Kernel } from '../kernel.js';
import type { Config, StatusInfo } from '../types.js';
/** What a line asks of a tab. */
export interface LineOwner {
    online(status: StatusInfo): void;
    ended(code: number, reason: string, status: StatusInfo): void;
    /** A new token of the tab's application; nothing where it does not answer. */
    token(): Promise<string | undefined>;
}
/** One connection, and the tabs that share it. */
export declare class Line {
    #private;
    readonly kernel: Kernel;
    constructor(config: Config, token: string | undefined, ended: () => void);
    join(tab: LineOwner): void;
    leave(tab: LineOwner): void;
}
export declare class Lines {
    #private;
    constructor(config?: Config);
    /** The line of a tab with this token. */
    for(url: string, token: string | undefined): Line;
}
