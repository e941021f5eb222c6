// Components of each framework, compiled as their users compile them.
import type { Plugin } from 'esbuild';
import { compile } from 'svelte/compiler';
import { compileScript, parse } from 'vue/compiler-sfc';

/** Files that stand beside a script: `./Badge.svelte`, `./Badge.vue`. */
export type Files = Readonly<Record<string, string>>;

const compilers: Record<string, (text: string, filename: string) => string> = {
  svelte: (text, filename) => compile(text, { filename, generate: 'client', css: 'external' }).js.code,
  vue(text, filename) {
    const { descriptor, errors } = parse(text, { filename });
    if (errors[0]) throw errors[0];
    return compileScript(descriptor, { id: filename, inlineTemplate: true }).content;
  },
  jsx: (text) => text,
};

/** Hands over the files, and compiles what is no script. */
export const compiled = (files: Files, root: string): Plugin => ({
  name: 'compiled',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^\.\/\w+\.(svelte|vue|jsx)$/ }, ({ path }) => ({ path, namespace: 'compiled' }));
    onLoad({ filter: /./, namespace: 'compiled' }, ({ path }) => {
      const kind = path.split('.').at(-1) ?? '';
      const contents = compilers[kind]?.(files[path] ?? '', path.slice(2)) ?? '';
      return { contents, loader: kind === 'jsx' ? 'jsx' : 'js', resolveDir: root };
    });
  },
});
