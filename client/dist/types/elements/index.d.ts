import { NotifierBridge } from './bridge.js';
import { NotifierStatus } from './status.js';
import { NotifierSubscribe } from './subscribe.js';
export { NotifierBridge, NotifierStatus, NotifierSubscribe };
declare global {
    interface HTMLElementTagNameMap {
        'notifier-bridge': NotifierBridge;
        'notifier-status': NotifierStatus;
        'notifier-subscribe': NotifierSubscribe;
    }
}
/** Names the elements of this page. Names that stand, by this copy or another one, stay; on a server nothing happens. */
export declare function define(): void;
