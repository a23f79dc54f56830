/** The command line itself is wrong. The program exits with 2. */
export class UsageError extends Error {
  readonly code = 'ERR_USAGE';
}
