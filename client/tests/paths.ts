// Where things are, whatever folder the tests are run from.
import { join } from 'node:path';

declare const __ROOT__: string;
export const ROOT: string = __ROOT__;
export const REPOSITORY = join(ROOT, '..');
export const CASES = join(ROOT, 'cases');
export const DIST = join(ROOT, 'dist');
