import { systemClock } from '@megascale/core';
import type { WriteStream } from 'node:tty';
import { loadBench, loadModel, probePlugins } from './compose.js';
import { readEnvironment } from './environment.js';
import { showsColors } from './output/colors.js';
import { watchLauncher } from './output/watch-launcher.js';
import { runCli } from './program.js';
import type { TextSink } from './world.js';

/** The program ends the process this long after its work is done, whatever still holds it. */
const exitLimitMs = 5000;

// The reader of the output may close it early: `megascale … | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

function textSink(stream: WriteStream): TextSink {
  return {
    isTTY: stream.isTTY,
    hasColors: showsColors(stream),
    // The user may change the window's size at any time.
    get columns() {
      return stream.columns;
    },
    write: (text) => stream.write(text),
  };
}

watchLauncher(process);
void runCli(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: textSink(process.stdout),
  stderr: textSink(process.stderr),
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
