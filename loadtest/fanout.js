// Does every event reach every client that asked for its subject, once, in order, and soon enough? Nobody comes or goes.
import { scenario } from './lib/scenario.js';

export const { options, setup, listen, publish, handleSummary } = scenario('fanout', {});
