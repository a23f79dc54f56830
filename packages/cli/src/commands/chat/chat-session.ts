import { MegascaleError } from '@megascale/core';
import type { ChatMessage } from '@megascale/engine';
import { paint } from '../../output/colors.js';
import { UsageError } from '../../output/usage-error.js';
import type { CliWorld } from '../../world.js';
import type { ChatPartner } from './chat-partner.js';
import { LineReader } from './line-reader.js';

const helpText = `/reset         forget the conversation; the system text stays
/system TEXT   set the system text of the conversation; without TEXT, remove it
/help          show this
/exit          leave, as Ctrl-D does
Ctrl-C stops an answer; at the prompt, pressed twice, it leaves. A line that begins with // is sent
with one slash.
`;

/** A conversation between the user's lines and a partner's answers. */
export class ChatSession {
  readonly #partner: ChatPartner;
  readonly #world: Pick<CliWorld, 'stdin' | 'stdout' | 'stderr'>;
  readonly #reader: LineReader;
  readonly #messages: ChatMessage[] = [];
  #system: string | undefined;
  /** Stops the answer that streams now. */
  #answering: AbortController | undefined;
  #interruptedAtPrompt = false;
  #failures = 0;

  constructor(
    partner: ChatPartner,
    world: Pick<CliWorld, 'stdin' | 'stdout' | 'stderr'>,
    system?: string,
  ) {
    this.#partner = partner;
    this.#world = world;
    this.#system = system;
    this.#reader = new LineReader(world, paint(world.stdout, 'cyan', '> '));
    this.#reader.onInterrupt = () => {
      this.#interrupt();
    };
  }

  /** Talks until the user leaves. Resolves to the number of turns that failed. */
  async run(): Promise<number> {
    if (this.#reader.isTerminal) {
      this.#note(`Chat with ${this.#partner.title}. /help shows the commands, Ctrl-D leaves.`);
    }
    for (;;) {
      const line = await this.#reader.next();
      this.#interruptedAtPrompt = false;
      if (line === undefined || /^\/exit\s*$/.test(line)) break;
      if (line.startsWith('/') && !line.startsWith('//')) this.#command(line);
      else if (line.trim() !== '') await this.#turn(line.replace(/^\/\//, '/'));
    }
    this.close();
    return this.#failures;
  }

  /** Stops the answer that streams, and the reading of lines. */
  close(): void {
    this.#answering?.abort();
    this.#reader.close();
  }

  #command(line: string): void {
    const [, name = '', text = ''] = /^\/(\S*)\s*(.*)$/.exec(line) ?? [];
    if (name === 'help') {
      this.#world.stderr.write(helpText);
    } else if (name === 'reset') {
      this.#messages.length = 0;
      this.#note('The conversation begins anew.');
    } else if (name === 'system') {
      this.#system = text === '' ? undefined : text;
      this.#note(text === '' ? 'There is no system text now.' : 'The system text is set.');
    } else {
      this.#note(`There is no command /${name}; /help lists those there are.`);
    }
  }

  /** Asks for one answer. A turn that fails leaves no trace in the history. */
  async #turn(content: string): Promise<void> {
    const { stdout, stderr } = this.#world;
    const question: ChatMessage = { role: 'user', content };
    const stop = new AbortController();
    this.#answering = stop;
    let answer = '';
    let finishReason: string | undefined;
    try {
      for await (const piece of this.#partner.answer(this.#history(question), stop.signal)) {
        answer += piece.text;
        if (piece.text !== '') stdout.write(piece.text);
        finishReason = piece.finishReason ?? finishReason;
      }
    } catch (error) {
      if (!stop.signal.aborted) {
        if (answer !== '') stdout.write('\n');
        stderr.write(`${paint(stderr, 'red', 'error:')} ${messageOf(error)}\n`);
        this.#failures += 1;
        if (this.#messages.length > 0) {
          this.#note('This turn is taken back; /reset forgets the earlier ones too.');
        }
        return;
      }
    } finally {
      this.#answering = undefined;
    }
    if (!answer.endsWith('\n')) stdout.write('\n');
    if (stop.signal.aborted) this.#note('(stopped)');
    else if (finishReason === 'length') this.#note('(the answer met its limit of tokens)');
    // A stopped answer stays in the history as far as the user has read it.
    if (answer !== '') this.#messages.push(question, { role: 'assistant', content: answer });
  }

  #history(question: ChatMessage): readonly ChatMessage[] {
    const system =
      this.#system === undefined ? [] : [{ role: 'system' as const, content: this.#system }];
    return [...system, ...this.#messages, question];
  }

  #interrupt(): void {
    if (this.#answering !== undefined) {
      this.#answering.abort();
    } else if (this.#reader.hasText) {
      this.#reader.clear();
    } else if (this.#interruptedAtPrompt) {
      this.#world.stdout.write('\n');
      this.#reader.close();
    } else {
      this.#interruptedAtPrompt = true;
      this.#world.stdout.write('\n');
      this.#note('Press Ctrl-C again to leave, or Ctrl-D.');
      this.#reader.prompt();
    }
  }

  /** Tells people at a terminal something that is no answer. */
  #note(text: string): void {
    const { stderr } = this.#world;
    if (this.#reader.isTerminal) stderr.write(`${paint(stderr, 'dim', text)}\n`);
  }
}

/** Errors meant for users say what to do; of any other the stack is of no use in a chat. */
function messageOf(error: unknown): string {
  if (error instanceof UsageError || MegascaleError.isInstance(error)) return error.message;
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
