import { Running } from './base.js';
export declare class NotifierSubscribe extends Running {
    #private;
    static readonly observedAttributes: string[];
    protected run(): () => void;
}
