// Sizes and limits of a run: the environment first, then the scenario's own defaults. README.md has the same table.

// [default, least value, whole numbers only]. `clientVus` is CLIENT_VUS in the environment.
const numbers = {
  clients: [200, 1, true],
  clientVus: [4, 1, true],
  protoPercent: [50, 0],
  pollPercent: [0, 0],
  movingPercent: [0, 0],
  slowPercent: [0, 0],
  wildcardPercent: [20, 0],
  subjects: [20, 1, true],
  storedPercent: [0, 0],
  subscriptions: [3, 1, true],
  rate: [50, 0.01],
  duration: [10, 0.01],
  publishers: [2, 1, true],
  payload: [200, 0],
  stay: [2, 0.1],
  away: [0.5, 0],
  stormEvery: [0, 0],
  latencyP95: [1000, 1],
  latencyP99: [2000, 1],
  connectP95: [1000, 1],
  connectTimeout: [10, 1],
  settle: [0.5, 0],
  quiet: [5, 0.5],
};

const texts = {
  nodeUrl: 'http://127.0.0.1:8080',
  slowUrl: '',
  subjectPrefix: 'loadtest',
  storedPrefix: 'loadtest-stored',
  selfCheck: '',
  summaryJson: '',
  summaryText: '',
};

const variable = (name) => name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();
const given = (name) => __ENV[variable(name)] || undefined;

function number(name, defaults) {
  const [fallback, least, whole] = numbers[name];
  const text = given(name);
  const value = Number(text ?? defaults[name] ?? fallback);
  if (!(value >= least)) throw new Error(`${variable(name)}=${text}: expected a number of at least ${least}`);
  if (whole && !Number.isInteger(value)) throw new Error(`${variable(name)}=${text}: expected a whole number`);
  return value;
}

// Filled in once, by the scenario, before anything reads it.
export const settings = {};

export function configure(defaults) {
  for (const name of Object.keys(numbers)) settings[name] = number(name, defaults);
  for (const name of Object.keys(texts)) settings[name] = given(name) ?? defaults[name] ?? texts[name];
  const urls = (text) => text.split(',').map((url) => url.trim().replace(/\/+$/, '')).filter(Boolean);
  settings.nodes = urls(settings.nodeUrl);
  settings.slowNodes = urls(settings.slowUrl);
  settings.clientVus = Math.min(settings.clientVus, settings.clients);
  settings.publishers = Math.min(settings.publishers, settings.subjects);
  // The last event of a subject says that it is the last, so there is always one.
  settings.eventsPerSubject = Math.max(1, Math.round((settings.rate * settings.duration) / settings.subjects));
  if (settings.slowPercent > 0 && settings.slowNodes.length === 0) {
    throw new Error('SLOW_URL is not set: slow readers need the address of loadtest/slow_line.py');
  }
  if (settings.selfCheck && settings.eventsPerSubject < 3) {
    throw new Error('SELF_CHECK needs three events per subject; raise RATE or DURATION');
  }
}
