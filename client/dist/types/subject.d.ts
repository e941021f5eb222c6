/** A text that JSON carries: half a surrogate pair would make the frame unreadable to the node. */
export declare const isText: (value: unknown) => value is string;
/** Throws where it could never be a subject or pattern. */
export declare function checkSubject(subject: unknown): asserts subject is string;
/** Whether every subject that `narrow` matches is one that `wide` matches. */
export declare function covers(wide: string, narrow: string): boolean;
