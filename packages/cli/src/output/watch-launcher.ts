import type { EventEmitter } from 'node:events';

/** How often the program looks for its launcher, in milliseconds. */
const lookMs = 500;

/**
 * Ends a program that npx started when npx is gone. npx runs programs through a shell, and SIGTERM
 * ends npx and the shell without reaching the program, which would go on as an orphan. Here the
 * program receives the signal SIGTERM instead, and exits with its code where nothing listens.
 * A program that npx did not start is left alone: its parent may end before it.
 */
export function watchLauncher(
  program: Pick<EventEmitter, 'emit'> & { readonly ppid: number; exit(code: number): void },
  variables: Readonly<Record<string, string | undefined>> = process.env,
): void {
  if (variables.npm_command !== 'exec') return;
  const launcher = program.ppid;
  const look = setInterval(() => {
    if (program.ppid === launcher) return;
    clearInterval(look);
    if (!program.emit('SIGTERM', 'SIGTERM')) program.exit(143);
  }, lookMs);
  look.unref();
}
