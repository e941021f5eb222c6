import { Running } from './base.js';
export declare class NotifierBridge extends Running {
    static readonly observedAttributes: string[];
    protected run(): () => void;
}
