import { createInterface, type Interface } from 'node:readline/promises';
import { TerminalStream } from '../../output/terminal-stream.js';
import type { CliWorld } from '../../world.js';

/**
 * Reads the user's lines, one at a time. On a terminal it shows a prompt, edits lines, and keeps a
 * history; from a pipe it reads plain lines and writes nothing. What the user types while the
 * reader is not asked stays invisible until the next prompt shows it.
 */
export class LineReader {
  /** Receives Ctrl-C; a terminal in raw mode sends no signal for the key. */
  onInterrupt: () => void = () => undefined;
  readonly #terminal: TerminalStream | undefined;
  readonly #interface: Interface;
  /** Lines that came while nothing waited for them: a pipe or a paste brings several at once. */
  readonly #lines: string[] = [];
  #closed = false;
  #pending: ((line: string | undefined) => void) | undefined;

  constructor({ stdin, stdout }: Pick<CliWorld, 'stdin' | 'stdout'>, prompt: string) {
    const isTerminal = stdin.isTTY === true && stdout.isTTY === true;
    this.#terminal = isTerminal ? new TerminalStream(stdout) : undefined;
    this.#interface = createInterface({
      input: stdin,
      ...(this.#terminal === undefined ? {} : { output: this.#terminal }),
      terminal: isTerminal,
      prompt,
      historySize: 1000,
      removeHistoryDuplicates: true,
    });
    this.#interface
      .on('line', (line) => {
        this.#receive(line);
      })
      .on('close', () => {
        this.#closed = true;
        this.#pending?.(undefined);
      })
      .on('SIGINT', () => {
        this.onInterrupt();
      });
  }

  get isTerminal(): boolean {
    return this.#terminal !== undefined;
  }

  /** Whether the user has typed something that is not sent yet. */
  get hasText(): boolean {
    return this.#interface.line !== '';
  }

  /** Resolves to the next line, or to undefined at the end: Ctrl-D, the pipe's end, or `close`. */
  async next(): Promise<string | undefined> {
    const ready = this.#lines.shift();
    if (ready !== undefined || this.#closed) return ready;
    this.prompt();
    const line = await new Promise<string | undefined>((resolve) => {
      this.#pending = resolve;
    });
    this.#terminal?.mute(true);
    return line;
  }

  /** Shows the prompt, on a terminal, with what the user has typed so far. */
  prompt(): void {
    if (this.#terminal === undefined) return;
    this.#terminal.mute(false);
    this.#interface.prompt(true);
  }

  /** Forgets what the user has typed and not sent. */
  clear(): void {
    this.#interface.write('', { ctrl: true, name: 'e' });
    this.#interface.write('', { ctrl: true, name: 'u' });
  }

  close(): void {
    this.#interface.close();
  }

  #receive(line: string): void {
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending === undefined) this.#lines.push(line);
    else pending(line);
  }
}
