import type { TextSink } from '../world.js';

/** Select-graphic-rendition codes that switch a style on and off. */
const codes = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  cyan: [36, 39],
} as const;

export type Style = keyof typeof codes;

/** Styles a text where the sink shows colours; any other sink gets the text as it is. */
export function paint(sink: TextSink, style: Style, text: string): string {
  if (sink.hasColors !== true) return text;
  const [on, off] = codes[style];
  return `\u001B[${on}m${text}\u001B[${off}m`;
}

interface TerminalStream {
  readonly isTTY?: boolean;
  hasColors?(): boolean;
}

/**
 * Says whether the program colours what it writes to a stream. `NO_COLOR` turns colours off, as
 * `FORCE_COLOR=0` does; any other `FORCE_COLOR` turns them on, also in a pipe. Without either
 * variable the program colours terminals that can show colours.
 */
export function showsColors(
  stream: TerminalStream,
  variables: Readonly<Record<string, string | undefined>> = process.env,
): boolean {
  const { NO_COLOR: off = '', FORCE_COLOR: force } = variables;
  if (off !== '' || force === '0' || force === 'false') return false;
  if (force !== undefined) return true;
  return stream.isTTY === true && stream.hasColors?.() === true;
}
