export declare const ROOT: string;
export declare const REPOSITORY: string;
export declare const CASES: string;
export declare const DIST: string;
