// Waiting, and one clock for all.
import exec from 'k6/execution';

// Seconds since the run began. All VUs of a k6 process share it, and it is finer than the millisecond of Date.now().
export class Clock {
  constructor() {
    // Held, because looking it up costs twenty times as much as reading it.
    this.instance = exec.instance;
  }

  seconds() {
    return this.instance.currentTestRunDuration / 1000;
  }
}

export function pause(seconds) {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, seconds * 1000)));
}

// Like the promise, but not for ever.
export function within(seconds, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come within ${seconds} s`)), seconds * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Every VU has this module to itself, and so its own count. More of the same would hide the summary.
const COMPLAINTS = 3;
let complaints = 0;
export function complain(text) {
  if (complaints++ < COMPLAINTS) console.warn(text);
}
