// Orders: Svelte. Each event of a durable subject, in order, whatever breaks.
import { mount } from 'svelte';
import Orders from './Orders.svelte';

mount(Orders, { target: document.getElementById('orders') });
