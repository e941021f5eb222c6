import { Running } from './elements/base.js';
export declare class NotifierInspector extends Running {
    #private;
    protected run(): () => void;
}
declare global {
    interface HTMLElementTagNameMap {
        'notifier-inspector': NotifierInspector;
    }
}
/** Names the element, unless it has a name; on a server nothing happens. */
export declare function define(): void;
