// `npm start`: from a fresh clone to a served model. Extra arguments go to `megascale serve`.
import { join } from 'node:path';
import { prepare, root } from './prepare.mjs';

await prepare();

// The server runs in this process, so signals reach it directly and nothing can be left behind.
const program = join(root, 'packages', 'cli', 'bin', 'megascale.js');
process.argv = [
  process.argv[0],
  program,
  'serve',
  join(root, 'models', 'dictionary'),
  ...process.argv.slice(2),
];
await import(program);
