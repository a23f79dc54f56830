import type { CliWorld } from '../world.js';

/** The user stopped a command before its end. Carries the shell's exit code for it. */
export class Interrupted extends Error {
  constructor(readonly exitCode: number) {
    super('interrupted');
  }
}

const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const;
type ShutdownSignal = keyof typeof exitCodes;

/** npm passes the terminal's Ctrl-C on, so that one key press arrives twice. */
const echoUs = 1_000_000;

/**
 * Receives SIGINT and SIGTERM for a command. The first signal asks the command to stop in order; a
 * second one that is no echo of the first ends the program at once.
 */
export class ShutdownSignals {
  /** Aborts at the first signal. */
  readonly requested: AbortSignal;
  readonly #controller = new AbortController();
  readonly #world: Pick<CliWorld, 'signals' | 'clock' | 'exit'>;
  #firstUs: number | undefined;
  #exitCode = 0;

  constructor(world: Pick<CliWorld, 'signals' | 'clock' | 'exit'>) {
    this.#world = world;
    this.requested = this.#controller.signal;
    world.signals.on('SIGINT', this.#onInterrupt);
    world.signals.on('SIGTERM', this.#onTerminate);
  }

  /** @throws Interrupted once a signal has come. */
  throwIfRequested(): void {
    if (this.requested.aborted) throw new Interrupted(this.#exitCode);
  }

  /** Resolves when the first signal comes. */
  wait(): Promise<void> {
    if (this.requested.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      this.requested.addEventListener(
        'abort',
        () => {
          resolve();
        },
        { once: true },
      );
    });
  }

  /** Stops receiving the signals. */
  dispose(): void {
    this.#world.signals.off('SIGINT', this.#onInterrupt);
    this.#world.signals.off('SIGTERM', this.#onTerminate);
  }

  readonly #onInterrupt = (): void => {
    this.#receive('SIGINT');
  };
  readonly #onTerminate = (): void => {
    this.#receive('SIGTERM');
  };

  #receive(signal: ShutdownSignal): void {
    const nowUs = this.#world.clock.nowUs();
    if (this.#firstUs === undefined) {
      this.#firstUs = nowUs;
      this.#exitCode = exitCodes[signal];
      this.#controller.abort();
    } else if (nowUs - this.#firstUs > echoUs) {
      this.#world.exit(exitCodes[signal]);
    }
  }
}
