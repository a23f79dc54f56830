import { Option } from 'commander';
import { pino, type Logger } from 'pino';
import pretty from 'pino-pretty';
import { logLevels, type LogLevel } from '../environment.js';
import type { CliWorld } from '../world.js';

export function logLevelFlag(): Option {
  return new Option(
    '--log-level <level>',
    'how much to log (default: MEGASCALE_LOG or warn)',
  ).choices(logLevels);
}

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
