import { afterAll, expect, it, type TestContext } from 'vitest';

/**
 * Title of a test of the suite → why this implementation does not pass it. Shown in the test's
 * name.
 */
export type ContractSkips = Readonly<Record<string, string>>;
export type ContractTest = (title: string, body: () => void | Promise<void>) => void;

/**
 * Of a whole test, which may start processes on a busy machine; what hangs inside has shorter
 * limits of its own.
 */
const patienceMs = 120_000;

/**
 * `it` for contract suites: tests named in `skip` are skipped with their reason, and a skip that
 * names no test is an error. `absent` may answer why nothing can be tested on this machine.
 */
export function contractTest(
  skip: ContractSkips = {},
  absent: () => Promise<string | undefined> = () => Promise.resolve(undefined),
): ContractTest {
  const titles = new Set<string>();
  afterAll(() => {
    const unknown = Object.keys(skip).filter((title) => !titles.has(title));
    expect(unknown, 'skips that name no test of this suite').toEqual([]);
  });
  return (title, body) => {
    titles.add(title);
    const reason = skip[title];
    if (reason !== undefined) {
      it.skip(`${title} (skipped: ${reason})`, body);
      return;
    }
    const run = async (context: TestContext): Promise<void> => {
      const missing = await absent();
      if (missing !== undefined) context.skip(missing);
      await body();
    };
    it(title, run, patienceMs);
  };
}
