import type { TcpEngine } from './tcp-binding.js';

const finishedPollMs = 50;
const running = new Set<TcpEngine>();
let isListening = false;

/**
 * Keeps the engine until it has finished, also when its port is forgotten, and ends it with this
 * thread: its own thread must not outlive the code it runs.
 */
export function endAtExit(engine: TcpEngine): void {
  if (!isListening) {
    isListening = true;
    process.on('exit', () => {
      for (const each of running) each.abort();
    });
  }
  running.add(engine);
  const timer = setInterval(() => {
    if (!engine.isFinished()) return;
    running.delete(engine);
    clearInterval(timer);
    engine.abort();
  }, finishedPollMs);
  timer.unref();
}
