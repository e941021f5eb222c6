// Types of data by subject. What is wrong here does not compile, so there is nothing to run.
import { it } from 'node:test';
import type { Client } from '../src/client.js';
import { type ControllerHost, LiveController } from '../src/lit.js';
import * as react from '../src/react.js';
import * as svelte from '../src/svelte.js';
import * as vue from '../src/vue.js';
import type { DataOf } from '../src/types.js';

interface Cart {
  items: number;
}

declare module '../src/types.js' {
  interface Subjects {
    'typed.cart.*': Cart;
    'typed.price.>': number;
    'typed.exact': string;
  }
}

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <T extends true>(): T | undefined => undefined;

export function subjectsAndPatternsHaveTheTypesThatAreDeclared(client: Client): void {
  holds<Same<DataOf<'typed.cart.u42'>, Cart>>();
  holds<Same<DataOf<'typed.cart.*'>, Cart>>();
  holds<Same<DataOf<'typed.cart.u42.more'>, unknown>>();
  holds<Same<DataOf<'typed.price.eur.mug'>, number>>();
  holds<Same<DataOf<'typed.price.>'>, number>>();
  holds<Same<DataOf<'typed.exact'>, string>>();
  holds<Same<DataOf<'elsewhere'>, unknown>>();
  holds<Same<DataOf<string>, unknown>>();

  client.subscribe('typed.cart.u42', ({ data }) => data.items.toFixed());
  client.subscribe('elsewhere', ({ data }: { data: Cart }) => data.items.toFixed());
  client.live('typed.price.eur').subscribe(({ value }) => value?.toFixed());
  client.live('typed.cart.*', { reduce: (sum: number | undefined, { data }) => (sum ?? 0) + data.items });
  // @ts-expect-error: a cart has no price
  client.subscribe('typed.cart.u42', ({ data }) => data.price);
  // @ts-expect-error: nothing is known of this subject, so its data has to be looked at first
  client.subscribe('elsewhere', ({ data }) => data.items);
}

export function everyFrameworkKnowsTheTypes(host: ControllerHost): void {
  holds<Same<ReturnType<typeof react.useLive<'typed.cart.u42'>>['value'], Cart | undefined>>();
  react.useSubscribe('typed.price.eur', ({ data }) => data.toFixed());
  react.useLive('typed.cart.*', { reduce: (sum: number | undefined, { data }) => (sum ?? 0) + data.items }).value?.toFixed();
  vue.useLive(() => 'typed.cart.u42' as const).value.value?.items.toFixed();
  svelte.useLive('typed.exact').current.value?.trim();
  new LiveController(host, 'typed.cart.u42').value?.items.toFixed();
  // @ts-expect-error: a cart has no price
  react.useSubscribe('typed.cart.u42', ({ data }) => data.price);
}

void it('types of data follow the subject, wildcards included', () => {});
