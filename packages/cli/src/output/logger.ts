import { pino, type Logger } from 'pino';
import pretty from 'pino-pretty';
import type { LogLevel } from '../options/serve-options.js';
import type { CliWorld } from '../world.js';

/** Logs to stderr: lines for people on a terminal, JSON lines otherwise. */
export function createLogger(level: LogLevel, { stderr }: CliWorld): Logger {
  const sink = { write: (text: string) => void stderr.write(text) };
  if (stderr.isTTY !== true) return pino({ level }, sink);
  const format = pretty.prettyFactory({
    colorize: stderr.hasColors === true,
    ignore: 'pid,hostname',
    singleLine: true,
  });
  const lines = { write: (text: string) => void stderr.write(format(JSON.parse(text))) };
  return pino({ level }, lines);
}
