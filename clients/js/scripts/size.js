/**
 * Shell: prints what the client weighs in a page, and fails when it is more than was promised.
 *
 * Each line is bundled as a user's bundler does it (esbuild, minified ES module), then compressed by gzip -9. What is
 * loaded on need only (MessagePack) is a chunk of its own and counts in the last line.
 */
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

/** The most bytes of a page with everything, compressed. */
const MOST_BYTES = 12_000;

const ENTRIES = {
  'client (JSON)': "export { Client } from './src/index.js'",
  'client with sealed fields': "export { Client } from './src/index.js'; export { DeviceKeys } from './src/keys.js'",
  'everything, with MessagePack':
    "export * from './src/index.js'; export * from './src/keys.js'; export * from './src/msgpack.js'",
};

let isTooLarge = false;
for (const [name, contents] of Object.entries(ENTRIES)) {
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
  const [entry] = outputFiles.filter(({ path }) => path.endsWith('stdin.js'));
  // what the entry imports at once is loaded with it; a dynamic import is not
  const loaded = outputFiles.filter(({ path, text }) => {
    const file = path.split('/').at(-1);
    return path === entry.path || (text && new RegExp(`(from|import) ?"\\./${file}"`).test(entry.text));
  });
  const bytes = gzipSync(Buffer.concat(loaded.map(({ contents }) => contents)), { level: 9 }).length;
  isTooLarge ||= bytes > MOST_BYTES;
  console.log(`${name.padEnd(30)} ${String(bytes).padStart(6)} bytes, minified and compressed (most ${MOST_BYTES})`);
}
if (isTooLarge) {
  console.error('the client is too large');
  process.exitCode = 1;
}
