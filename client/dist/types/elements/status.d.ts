import { Running } from './base.js';
export declare class NotifierStatus extends Running {
    #private;
    static readonly observedAttributes: string[];
    protected run(): () => void;
}
