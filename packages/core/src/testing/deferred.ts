export interface Deferred {
  readonly promise: Promise<void>;
  resolve(): void;
}

/** A promise the test settles when it likes. */
export function deferred(): Deferred {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
