import { systemClock } from '@megascale/core';
import { runCli } from './program.js';
import { loadBench, loadModel, probePlugins } from './compose.js';
import { readEnvironment } from './environment.js';

/** What still holds the process this long after its work is done is cut off. */
const exitLimitMs = 5000;

// Whoever reads the output may have enough of it: `megascale … | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

void runCli(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  signals: process,
  exit: (code) => process.exit(code),
  clock: systemClock,
  readEnvironment,
  loadModel,
  probePlugins,
  loadBench,
}).then((code) => {
  process.exitCode = code;
  setTimeout(() => process.exit(code), exitLimitMs).unref();
});
