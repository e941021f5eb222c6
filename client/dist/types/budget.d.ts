export declare class Budget {
    #private;
    readonly rate: number;
    readonly burst: number;
    constructor(rate: number, burst: number);
    /** Whether `cost` may be spent now. More than a full bucket may when it is full, as nothing else would help. */
    has(cost: number): boolean;
    spend(cost: number): void;
}
