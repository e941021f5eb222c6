// The account of one client, subject by subject: the events that it has to receive, and those that it got. Pure.
// Sequences start at 1. The last event of a subject says so; until it is heard, the plan stands in for it, so that a lost
// end is a loss like any other.

export class Ledger {
  constructor(subjects, planned) {
    this.planned = planned;
    this.accounts = new Map(subjects.map((subject) => [subject, new Account()]));
    this.unasked = 0;
  }

  // `final`: nothing follows on this subject. `unsure`: sequences whose publishing was never answered, so that nobody
  // knows whether they exist. False when the event was heard before.
  hear(subject, { n, final, unsure = [] }) {
    const account = this.accounts.get(subject);
    if (!account) {
      this.unasked += 1;
      return false;
    }
    const fresh = account.hear(n);
    if (final) account.end(n, unsure);
    return fresh;
  }

  complete() {
    for (const account of this.accounts.values()) {
      if (account.last === 0 || account.owed() > 0) return false;
    }
    return true;
  }

  // expected = received + lost, always.
  balance() {
    const total = { expected: 0, received: 0, lost: 0, duplicated: 0, outOfOrder: 0, unasked: this.unasked };
    for (const account of this.accounts.values()) {
      if (account.last === 0) account.expectUpTo(this.planned);
      total.received += account.received;
      total.lost += account.owed();
      total.duplicated += account.duplicated;
      total.outOfOrder += account.outOfOrder;
    }
    total.expected = total.received + total.lost;
    return total;
  }
}

class Account {
  constructor() {
    this.highest = 0;
    this.missing = new Set();
    this.received = 0;
    this.duplicated = 0;
    this.outOfOrder = 0;
    this.last = 0;
    this.unsure = new Set();
  }

  hear(n) {
    if (n > this.highest) {
      this.expectUpTo(n - 1);
      this.highest = n;
    } else if (this.missing.delete(n)) {
      this.outOfOrder += 1;
    } else {
      this.duplicated += 1;
      return false;
    }
    this.received += 1;
    return true;
  }

  end(n, unsure) {
    this.last = Math.max(this.last, n);
    unsure.forEach((each) => this.unsure.add(each));
  }

  expectUpTo(n) {
    while (this.highest < n) this.missing.add(++this.highest);
  }

  owed() {
    let owed = 0;
    for (const n of this.missing) owed += this.unsure.has(n) ? 0 : 1;
    return owed;
  }
}
