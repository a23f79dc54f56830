import { option, type OptionGroup } from '@megascale/engine';
import { z } from 'zod';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

export const logOptions = {
  logLevel: option(z.enum(logLevels).default('warn'), {
    help: 'how much to log',
    metavar: 'level',
  }),
};

export const serverOptions = {
  host: option(z.string().min(1).default('127.0.0.1'), {
    help: 'address to listen on',
    metavar: 'address',
  }),
  port: option(z.int().min(0).max(65_535).default(8000), {
    help: 'port to listen on, or 0 for any',
    metavar: 'port',
  }),
  apiKey: option(z.string().min(1).optional(), {
    help: 'bearer key that clients must send; the environment shows it to fewer users than a flag',
    metavar: 'key',
    defaultText: 'none',
    secret: true,
  }),
  drainMs: option(z.int().nonnegative().default(30_000), {
    help: 'time that running requests get at the end',
    unit: 'ms',
  }),
};

/** Options of `serve` beside those of the engine. */
export const serveOptionGroups: readonly OptionGroup[] = [
  { title: 'Server', shape: serverOptions },
  { title: 'Log', shape: logOptions },
];

export const logSettings = z.object(logOptions);
export const serveOptionsSchema = z.object({ ...serverOptions, ...logOptions });
export type ServeOptions = z.output<typeof serveOptionsSchema>;
