// A little of everything in some seconds: both encodings and polls, live and stored subjects, clients that come and go.
import { scenario } from './lib/scenario.js';

export const { options, setup, listen, publish, handleSummary } = scenario('smoke', {
  clients: 50,
  storedPercent: 50,
  pollPercent: 10,
  movingPercent: 30,
  rate: 20,
  duration: 8,
  // It runs on machines that do something else too.
  latencyP95: 2000,
  latencyP99: 4000,
  connectP95: 2000,
});
