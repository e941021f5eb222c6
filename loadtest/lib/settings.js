// Sizes and limits of a run, from the environment. README.md has the same table.

function number(name, fallback, least = 0) {
  const text = __ENV[name];
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (!(value >= least)) throw new Error(`${name}=${text}: expected a number of at least ${least}`);
  return value;
}

// Something that is counted, so whole and at least one.
function count(name, fallback) {
  const value = number(name, fallback, 1);
  if (!Number.isInteger(value)) throw new Error(`${name}=${value}: expected a whole number`);
  return value;
}

export const nodes = (__ENV.NODE_URL || 'http://127.0.0.1:8080').split(',').map((url) => url.trim().replace(/\/+$/, ''));

export const clients = count('CLIENTS', 200);
export const clientVus = Math.min(count('CLIENT_VUS', 4), clients);
export const subjects = count('SUBJECTS', 20);
export const subscriptions = Math.min(count('SUBSCRIPTIONS', 3), subjects);
export const wildcardPercent = Math.min(number('WILDCARD_PERCENT', 20), 100);

export const rate = number('RATE', 50, 0.01);
export const duration = number('DURATION', 10, 0.01);
export const publishers = Math.min(count('PUBLISHERS', 2), subjects);
export const payload = number('PAYLOAD', 200);
// The last event of a subject says that it is the last, so there is always one.
export const eventsPerSubject = Math.max(1, Math.round((rate * duration) / subjects));

export const latencyP95 = number('LATENCY_P95', 1000);
export const latencyP99 = number('LATENCY_P99', 2000);

export const connectTimeout = number('CONNECT_TIMEOUT', 10, 1);
export const settle = number('SETTLE', 0.5);
export const quiet = number('QUIET', 5, 1);

export const prefix = __ENV.SUBJECT_PREFIX || 'loadtest';
export const selfCheck = __ENV.SELF_CHECK || '';
export const summaryJson = __ENV.SUMMARY_JSON || '';
