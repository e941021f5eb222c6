// Stock: Vue. The newest value of each subject under a pattern.
import { createApp } from 'vue';
import Stock from './Stock.vue';

createApp(Stock).mount('#stock');
