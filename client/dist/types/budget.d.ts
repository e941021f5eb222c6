export declare class Budget {
    #private;
    constructor(rate: number, burst: number);
    /** Takes over what the node tells; what was spent before counts. */
    change(rate: number, burst: number): void;
    /** Whether `cost` may be spent now. More than a full bucket may when it is full, as nothing else would help. */
    has(cost: number): boolean;
    spend(cost: number): void;
}
