// Compiles the components of Svelte and Vue, as their users' build tools do.
import { readFileSync } from 'node:fs';
import { compile } from 'svelte/compiler';
import { compileScript, parse } from 'vue/compiler-sfc';

const compilers = {
  svelte: (text, filename) => compile(text, { filename, generate: 'client', css: 'external' }).js.code,
  vue(text, filename) {
    const { descriptor, errors } = parse(text, { filename });
    if (errors[0]) throw errors[0];
    return compileScript(descriptor, { id: filename, inlineTemplate: true }).content;
  },
};

export const compiler = {
  name: 'compiler',
  setup({ onLoad }) {
    onLoad({ filter: /\.(svelte|vue)$/ }, ({ path }) => {
      const [, name, kind] = /([^/]+\.(\w+))$/.exec(path);
      return { contents: compilers[kind](readFileSync(path, 'utf8'), name), loader: 'js' };
    });
  },
};
