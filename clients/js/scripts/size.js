/**
 * Shell: prints what the client weighs in a page, and fails when it is more than was promised.
 *
 * Each line is bundled as a user's bundler does it (esbuild, minified ES module), then compressed by gzip -9. What is
 * loaded on need only is a chunk of its own: the code of tabs, of sealed fields and of MessagePack.
 */
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

/** Name of what is bundled: its most bytes, compressed, and its code. @type {Record<string, [number, string]>} */
const ENTRIES = {
  client: [12_288, "export * from './src/index.js'"],
  'and tabs that share it': [14_336, "export * from './src/index.js'; export * from './src/tabs.js'"],
  'and sealed fields': [
    17_000,
    "export * from './src/index.js'; export * from './src/tabs.js'; export * from './src/keys.js'",
  ],
};

let isTooLarge = false;
for (const [name, [mostBytes, contents]] of Object.entries(ENTRIES)) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: new URL('..', import.meta.url).pathname },
    bundle: true,
    minify: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    outdir: 'out',
    write: false,
  });
  const entry = /** @type {import('esbuild').OutputFile} */ (outputFiles.find(({ path }) => path.endsWith('stdin.js')));
  // what the entry imports at once is loaded with it; a dynamic import is not
  const loaded = outputFiles.filter(({ path, text }) => {
    const file = path.split('/').at(-1);
    return path === entry.path || (text && new RegExp(`(from|import) ?"\\./${file}"`).test(entry.text));
  });
  const bytes = gzipSync(Buffer.concat(loaded.map(({ contents }) => contents)), { level: 9 }).length;
  isTooLarge ||= bytes > mostBytes;
  console.log(`${name.padEnd(24)} ${String(bytes).padStart(6)} bytes, minified and compressed (at most ${mostBytes})`);
}
if (isTooLarge) {
  console.error('the client is too large');
  process.exitCode = 1;
}
