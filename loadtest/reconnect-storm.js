// All at once most clients lose their connection and come back in the same moment, as after a reload of a proxy. They resume
// and miss nothing; `back until live` says how long that takes.
import { scenario } from './lib/scenario.js';

export const { options, setup, listen, publish, handleSummary } = scenario('reconnect-storm', {
  clients: 500,
  storedPercent: 50,
  movingPercent: 90,
  stormEvery: 8,
  rate: 20,
  duration: 30,
  // A crowd at a door waits.
  latencyP95: 3000,
  latencyP99: 5000,
  connectP95: 3000,
});
